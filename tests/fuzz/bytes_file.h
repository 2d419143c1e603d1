// A fuzzer's bytes as a file that can be opened by path: the readers map files, so they are fuzzed
// as they are used. One memory file serves all runs of a process.
#ifndef TESTS_FUZZ_BYTES_FILE_H
#define TESTS_FUZZ_BYTES_FILE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE // memfd_create
#endif

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// The entry that libFuzzer calls.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The path is good until the next call; mappings of the file must be gone by then.
static inline const char *bytes_file(const uint8_t *data, size_t size)
{
    static char path[64];
    static int file = -1;
    if (file < 0) {
        file = memfd_create("fuzz", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    if (file < 0 || ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != (ssize_t)size) {
        perror("memory file");
        abort();
    }
    return path;
}

#endif
