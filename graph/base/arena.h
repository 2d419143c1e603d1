// Arenas: memory whose lifetime is a phase of work (a compile, a pass, an opened file), freed at
// once.
//
// Invariants: every allocation is zeroed and 16-byte aligned; nothing is freed alone. Running out
// of memory ends the program with a message (a compile cannot go on without); the runtime, which is
// a library, does not use arenas after open and reports instead.
#ifndef GRAPH_BASE_ARENA_H
#define GRAPH_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

typedef struct ArenaBlock ArenaBlock;

typedef struct Arena {
    ArenaBlock *newest;
} Arena;

// Returns `bytes` zeroed bytes that live until arena_free.
void *arena_alloc(Arena *arena, size_t bytes);
// Copies `length` bytes of `text` and ends them with a NUL.
char *arena_copy_text(Arena *arena, const char *text, size_t length);
// Like sprintf into memory of the arena.
char *arena_format(Arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Frees every allocation; the arena is empty and usable afterwards.
void arena_free(Arena *arena);

#define ARENA_NEW(arena, Type) ((Type *)arena_alloc((arena), sizeof(Type)))
#define ARENA_ARRAY(arena, Type, count)                                                            \
    ((Type *)arena_alloc((arena), sizeof(Type) * (size_t)(count)))

// A growable array in an arena: `Vector(Node *) nodes;` then vector_push(arena, &nodes, node).
#define Vector(Type)                                                                               \
    struct {                                                                                       \
        Type *items;                                                                               \
        int32_t count, capacity;                                                                   \
    }

#define vector_push(arena, vector, item)                                                           \
    do {                                                                                           \
        if ((vector)->count == (vector)->capacity)                                                 \
            (vector)->items = arena_grow((arena), (vector)->items, &(vector)->capacity,            \
                                         sizeof *(vector)->items);                                 \
        (vector)->items[(vector)->count++] = (item);                                               \
    } while (0)

// Doubles an array (vector_push's helper); the old one stays in the arena.
void *arena_grow(Arena *arena, const void *items, int32_t *capacity, size_t item_bytes);

#endif
