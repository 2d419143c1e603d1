#include "graph/base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 64 * 1024, ALIGNMENT = 16 };

struct ArenaBlock {
    ArenaBlock *older;
    size_t used, capacity;
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

static ArenaBlock *block_new(ArenaBlock *older, size_t capacity)
{
    ArenaBlock *block = calloc(1, sizeof *block + capacity);
    if (!block) {
        fprintf(stderr, "error: out of memory (%zu bytes asked for)\n", capacity);
        exit(1);
    }
    block->older = older;
    block->capacity = capacity;
    return block;
}

void *arena_alloc(Arena *arena, size_t bytes)
{
    size_t rounded = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    ArenaBlock *block = arena->newest;
    if (!block || block->capacity - block->used < rounded) {
        size_t capacity = rounded > BLOCK_BYTES ? rounded : BLOCK_BYTES;
        block = arena->newest = block_new(block, capacity);
    }
    void *memory = block->bytes + block->used;
    block->used += rounded;
    return memory;
}

char *arena_copy_text(Arena *arena, const char *text, size_t length)
{
    char *copy = arena_alloc(arena, length + 1);
    memcpy(copy, text, length);
    return copy;
}

char *arena_format(Arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    char *text = arena_alloc(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(arguments);
    return text;
}

void arena_free(Arena *arena)
{
    for (ArenaBlock *block = arena->newest; block;) {
        ArenaBlock *older = block->older;
        free(block);
        block = older;
    }
    arena->newest = NULL;
}

void *arena_grow(Arena *arena, const void *items, int32_t *capacity, size_t item_bytes)
{
    int32_t grown = *capacity ? *capacity * 2 : 8;
    void *copy = arena_alloc(arena, (size_t)grown * item_bytes);
    if (*capacity)
        memcpy(copy, items, (size_t)*capacity * item_bytes);
    *capacity = grown;
    return copy;
}
