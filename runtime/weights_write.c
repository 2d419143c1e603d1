// Region w into a file, window by window.
//
// Windows are written whole from a buffer aligned to 2 MiB: a file written in such pieces gets
// large folios, which a mapping can then use as 2 MiB pages (written in small pieces it reads 15 %
// slower). Panels that cross a window's end are made whole and their rest is carried to the next
// window.
//
// Tried and rejected: a thread that writes one window while the pool packs the next. On two CPUs
// that others used as well it was slower by a fifth and more; a file takes one writer at a time.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/weights.h"

enum { WINDOW_BYTES = 64 << 20 };

typedef struct WindowWriter {
    const Weights *weights;
    const NewFile *file;
    uint64_t offset, bytes;      // of region w in the file
    uint64_t window_bytes, room; // room: with the rest of a panel
    PlanProgress *progress;
    void *context;
    Diag *diag;
} WindowWriter;

// `window` is zero where nothing was carried.
static bool write_windows(const WindowWriter *writer, Pool *pool, char *window, Hash128 *hash)
{
    uint64_t size = writer->window_bytes, carried = writer->room - size;
    HashStream *stream = hash_stream_begin();
    bool good = true;
    for (uint64_t begin = 0; begin < writer->bytes && good; begin += size) {
        uint64_t rest = writer->bytes - begin, count = rest < size ? rest : size;
        good = weights_make(writer->weights, pool, (int64_t)begin, (int64_t)(begin + count), window,
                            writer->diag) &&
               new_file_write(writer->file, window, count, writer->offset + begin, writer->diag);
        hash_stream_add(stream, window, count);
        memmove(window, window + size, carried);
        memset(window + carried, 0, size);
        if (good && writer->progress)
            writer->progress(writer->context, begin + count, writer->bytes);
    }
    *hash = hash_stream_end(stream);
    return good;
}

static uint64_t round_up(uint64_t value, uint64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

bool weights_write(const Plan *plan, const NewFile *file, uint64_t offset, Hash128 *hash,
                   PlanProgress *progress, void *context, Diag *diag)
{
    Weights *weights = weights_open(plan, diag);
    Pool *pool = weights ? pool_open(0, diag) : NULL;
    bool good = pool != NULL;
    if (good) {
        uint64_t bytes = (uint64_t)plan->info.w_bytes;
        uint64_t whole = round_up(bytes, PLAN_DATA_ALIGNMENT);
        uint64_t size = whole < WINDOW_BYTES ? whole : WINDOW_BYTES;
        uint64_t room = size + round_up((uint64_t)weights_panel_most(weights), PLAN_DATA_ALIGNMENT);
        WindowWriter writer = {weights, file, offset, bytes, size, room, progress, context, diag};
        char *window = aligned_alloc(PLAN_DATA_ALIGNMENT, room);
        if (window) {
            madvise(window, room, MADV_HUGEPAGE);
            memset(window, 0, room);
        }
        good = window ? write_windows(&writer, pool, window, hash)
                      : diag_fail(diag, (Where){.file = file->path},
                                  "out of memory for packing weights");
        free(window);
    }
    pool_close(pool);
    weights_close(weights);
    return good;
}
