// Region w into a file, window by window: while one window is written, all threads pack the next.
//
// Windows are written whole from a buffer aligned to 2 MiB: a file written in such pieces gets
// large folios, which a mapping can then use as 2 MiB pages (written in small pieces it reads 15 %
// slower). Panels that cross a window's end are made whole and their rest is carried to the next
// window. One thread writes: a file system lets no two write one file at a time.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/weights.h"

enum { WINDOW_BYTES = 64 << 20 };

typedef struct Window {
    char *bytes; // a window, and room for the rest of a panel; zero where nothing was packed
    uint64_t offset, count;
} Window;

typedef struct WindowWriter {
    const NewFile *file;
    uint64_t offset, bytes;      // of region w in the file
    uint64_t window_bytes, room; // room: with the rest of a panel
    Window windows[2];
    const Window *writing; // by `thread`; NULL: it does not run
    pthread_t thread;
    HashStream *stream;
    bool good;
    Diag diag; // of the thread
} WindowWriter;

static void *write_window(void *context)
{
    WindowWriter *writer = context;
    const Window *window = writer->writing;
    writer->good = new_file_write(writer->file, window->bytes, window->count,
                                  writer->offset + window->offset, &writer->diag);
    hash_stream_add(writer->stream, window->bytes, window->count);
    memset(window->bytes, 0, writer->room);
    return NULL;
}

static bool finish_window(WindowWriter *writer, Diag *diag)
{
    if (writer->writing)
        pthread_join(writer->thread, NULL);
    writer->writing = NULL;
    if (!writer->good && !diag->failed)
        *diag = writer->diag;
    return writer->good;
}

static bool start_window(WindowWriter *writer, const Window *window, Diag *diag)
{
    writer->writing = window;
    if (pthread_create(&writer->thread, NULL, write_window, writer) == 0)
        return true;
    writer->writing = NULL;
    return diag_fail(diag, (Where){.file = writer->file->path},
                     "cannot start the thread that writes weights");
}

static bool write_windows(WindowWriter *writer, const Weights *weights, Pool *pool,
                          PlanProgress *progress, void *context, Diag *diag)
{
    bool good = true;
    int turn = 0;
    for (uint64_t begin = 0; begin < writer->bytes && good; turn = !turn) {
        Window *window = &writer->windows[turn], *other = &writer->windows[!turn];
        uint64_t rest = writer->bytes - begin;
        window->offset = begin;
        window->count = rest < writer->window_bytes ? rest : writer->window_bytes;
        begin += window->count;
        good = weights_make(weights, pool, (int64_t)window->offset, (int64_t)begin, window->bytes,
                            diag) &&
               finish_window(writer, diag);
        memcpy(other->bytes, window->bytes + writer->window_bytes,
               writer->room - writer->window_bytes);
        good = good && start_window(writer, window, diag);
        if (good && progress)
            progress(context, begin, writer->bytes);
    }
    return finish_window(writer, diag) && good;
}

static uint64_t round_up(uint64_t value, uint64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

static bool make_windows(WindowWriter *writer, const Weights *weights, Diag *diag)
{
    uint64_t whole = round_up(writer->bytes, PLAN_DATA_ALIGNMENT);
    writer->window_bytes = whole < WINDOW_BYTES ? whole : WINDOW_BYTES;
    writer->room =
        writer->window_bytes + round_up((uint64_t)weights_panel_most(weights), PLAN_DATA_ALIGNMENT);
    for (int i = 0; i < 2; i++) {
        char *bytes = aligned_alloc(PLAN_DATA_ALIGNMENT, writer->room);
        if (!bytes)
            return diag_fail(diag, (Where){.file = writer->file->path},
                             "out of memory for packing weights");
        madvise(bytes, writer->room, MADV_HUGEPAGE);
        memset(bytes, 0, writer->room);
        writer->windows[i].bytes = bytes;
    }
    return true;
}

bool weights_write(const Plan *plan, const NewFile *file, uint64_t offset, Hash128 *hash,
                   PlanProgress *progress, void *context, Diag *diag)
{
    WindowWriter writer = {.file = file,
                           .offset = offset,
                           .bytes = (uint64_t)plan->info.w_bytes,
                           .stream = hash_stream_begin(),
                           .good = true};
    Weights *weights = weights_open(plan, diag);
    Pool *pool = weights ? pool_open(0, diag) : NULL;
    bool good = pool && make_windows(&writer, weights, diag) &&
                write_windows(&writer, weights, pool, progress, context, diag);
    *hash = hash_stream_end(writer.stream);
    free(writer.windows[0].bytes);
    free(writer.windows[1].bytes);
    pool_close(pool);
    weights_close(weights);
    return good;
}
