// Region w into a file, window by window.
//
// Windows are written whole from a buffer aligned to 2 MiB: a file written in such pieces gets
// large folios, which a mapping can then use as 2 MiB pages (written in small pieces it reads 15 %
// slower). Panels that cross a window's end are made whole and their rest is carried to the next
// window.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/weights.h"

enum { WINDOW_BYTES = 64 << 20 };

typedef struct WindowWriter {
    const Weights *weights;
    const NewFile *file;
    uint64_t offset, bytes; // of region w in the file
    PlanProgress *progress;
    void *context;
    Diag *diag;
} WindowWriter;

// `window` has room for a window and a panel; it is zero where nothing was carried.
static bool write_windows(const WindowWriter *writer, Pool *pool, char *window, Hash128 *hash)
{
    uint64_t room = WINDOW_BYTES + (uint64_t)weights_panel_most(writer->weights);
    HashStream *stream = hash_stream_begin();
    bool good = true;
    for (uint64_t begin = 0; begin < writer->bytes && good; begin += WINDOW_BYTES) {
        uint64_t rest = writer->bytes - begin, count = rest < WINDOW_BYTES ? rest : WINDOW_BYTES;
        good = weights_make(writer->weights, pool, (int64_t)begin, (int64_t)(begin + count), window,
                            writer->diag) &&
               new_file_write(writer->file, window, count, writer->offset + begin, writer->diag);
        hash_stream_add(stream, window, count);
        memmove(window, window + WINDOW_BYTES, room - WINDOW_BYTES);
        memset(window + (room - WINDOW_BYTES), 0, WINDOW_BYTES);
        if (good && writer->progress)
            writer->progress(writer->context, begin + count, writer->bytes);
    }
    *hash = hash_stream_end(stream);
    return good;
}

bool weights_write(const Plan *plan, const NewFile *file, uint64_t offset, Hash128 *hash,
                   PlanProgress *progress, void *context, Diag *diag)
{
    Weights *weights = weights_open(plan, diag);
    Pool *pool = weights ? pool_open(0, diag) : NULL;
    bool good = pool != NULL;
    if (good) {
        WindowWriter writer = {weights,  file,    offset, (uint64_t)plan->info.w_bytes,
                               progress, context, diag};
        size_t panel = ((size_t)weights_panel_most(weights) + PLAN_DATA_ALIGNMENT - 1) /
                       PLAN_DATA_ALIGNMENT * PLAN_DATA_ALIGNMENT;
        char *window = aligned_alloc(PLAN_DATA_ALIGNMENT, WINDOW_BYTES + panel);
        if (window) {
            madvise(window, WINDOW_BYTES + panel, MADV_HUGEPAGE);
            memset(window, 0, WINDOW_BYTES + panel);
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
