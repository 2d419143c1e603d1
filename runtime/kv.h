// Which pages of the KV arena belong to which sequence. Memory is the Exec's; this keeps the books.
//
// Invariants: a page belongs to one sequence or is free; a sequence of n tokens has exactly
// ceil(n / page_tokens) pages, in order of position. (Shared prefixes would add a count to each
// page and copy a page that is written while its count is above one: a door, not built.)
#ifndef RUNTIME_KV_H
#define RUNTIME_KV_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/diag.h"

typedef struct Kv Kv;

typedef struct KvOptions {
    int32_t pages; // in the arena
    int32_t page_tokens, pages_per_sequence, sequences;
} KvOptions;

Kv *kv_open(const KvOptions *options, Diag *diag);
void kv_close(Kv *kv);
// Id of an empty sequence, 0 … sequences-1; -1 with a message when all are in use.
int32_t kv_add_sequence(Kv *kv, Diag *diag);
void kv_remove_sequence(Kv *kv, int32_t sequence);
bool kv_has_sequence(const Kv *kv, int32_t sequence);
int64_t kv_length(const Kv *kv, int32_t sequence);
// Makes the sequence `length` tokens long: takes pages or frees them. When a sequence outgrows its
// table or the arena is full nothing changes, and the message tells what holds how much.
bool kv_set_length(Kv *kv, int32_t sequence, int64_t length, Diag *diag);
// Page of each stretch of page_tokens positions, pages_per_sequence of them; -1: none.
const int32_t *kv_table(const Kv *kv, int32_t sequence);
int32_t kv_free_pages(const Kv *kv);

#endif
