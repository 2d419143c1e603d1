#include "runtime/kv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef struct Sequence {
    bool used;
    int64_t length;
    int32_t page_count;
    int32_t *table;
} Sequence;

struct Kv {
    KvOptions options;
    int32_t *free_pages; // a stack
    int32_t free_count;
    Sequence *sequences;
    int32_t *tables;
};

Kv *kv_open(const KvOptions *options, Diag *diag)
{
    Kv *kv = calloc(1, sizeof *kv);
    size_t sequences = (size_t)options->sequences, pages = (size_t)options->pages;
    size_t entries = sequences * (size_t)options->pages_per_sequence;
    if (kv) {
        kv->free_pages = calloc(pages + 1, sizeof *kv->free_pages);
        kv->sequences = calloc(sequences + 1, sizeof *kv->sequences);
        kv->tables = malloc((entries + 1) * sizeof *kv->tables);
    }
    if (!kv || !kv->free_pages || !kv->sequences || !kv->tables) {
        diag_fail(diag, (Where){0}, "out of memory for page tables");
        kv_close(kv);
        return NULL;
    }
    kv->options = *options;
    memset(kv->tables, 0xff, (entries + 1) * sizeof *kv->tables);
    for (size_t i = 0; i < sequences; i++)
        kv->sequences[i].table = kv->tables + i * (size_t)options->pages_per_sequence;
    // Low pages are handed out first, so that short runs touch little memory.
    for (int32_t page = options->pages; page-- > 0;)
        kv->free_pages[kv->free_count++] = page;
    return kv;
}

void kv_close(Kv *kv)
{
    if (!kv)
        return;
    free(kv->free_pages);
    free(kv->sequences);
    free(kv->tables);
    free(kv);
}

int32_t kv_add_sequence(Kv *kv, Diag *diag)
{
    for (int32_t i = 0; i < kv->options.sequences; i++) {
        if (kv->sequences[i].used)
            continue;
        kv->sequences[i].used = true;
        return i;
    }
    diag_fail(diag, (Where){0}, "all %d sequences are in use: open the session with more",
              kv->options.sequences);
    return -1;
}

bool kv_has_sequence(const Kv *kv, int32_t sequence)
{
    return sequence >= 0 && sequence < kv->options.sequences && kv->sequences[sequence].used;
}

int64_t kv_length(const Kv *kv, int32_t sequence)
{
    assert(kv_has_sequence(kv, sequence));
    return kv->sequences[sequence].length;
}

static bool take_pages(Kv *kv, Sequence *sequence, int64_t pages, Diag *diag)
{
    const KvOptions *options = &kv->options;
    if (pages > options->pages_per_sequence)
        return diag_fail(diag, (Where){0},
                         "the context of %lld tokens is full: raise -c or shorten the text",
                         (long long)options->pages_per_sequence * options->page_tokens);
    if (pages - sequence->page_count > kv->free_count)
        return diag_fail(diag, (Where){0},
                         "the store of keys and values is full: %d pages of %d tokens, %d free: "
                         "raise -c or run fewer sequences",
                         options->pages, options->page_tokens, kv->free_count);
    while (sequence->page_count < pages)
        sequence->table[sequence->page_count++] = kv->free_pages[--kv->free_count];
    return true;
}

bool kv_set_length(Kv *kv, int32_t id, int64_t length, Diag *diag)
{
    assert(kv_has_sequence(kv, id) && length >= 0);
    Sequence *sequence = &kv->sequences[id];
    int64_t pages = length / kv->options.page_tokens + (length % kv->options.page_tokens != 0);
    if (!take_pages(kv, sequence, pages, diag))
        return false;
    while (sequence->page_count > pages) {
        int32_t *entry = &sequence->table[--sequence->page_count];
        kv->free_pages[kv->free_count++] = *entry;
        *entry = -1;
    }
    sequence->length = length;
    return true;
}

void kv_remove_sequence(Kv *kv, int32_t sequence)
{
    Diag diag = {0};
    kv_set_length(kv, sequence, 0, &diag);
    kv->sequences[sequence].used = false;
}

const int32_t *kv_table(const Kv *kv, int32_t sequence)
{
    assert(kv_has_sequence(kv, sequence));
    return kv->sequences[sequence].table;
}

int32_t kv_free_pages(const Kv *kv)
{
    return kv->free_count;
}
