// Hostile folders: the input is config.json up to the first zero byte, then model.safetensors. What
// is accepted must be readable to the last byte, by its own names and by those of GGUF.
#include "tests/fuzz/bytes_file.h"
#include "tests/fuzz/read_model.h"

#include <string.h>
#include <sys/stat.h>

static char folder[64], config[96], weights[96];

static void remove_folder(void)
{
    unlink(config);
    unlink(weights);
    rmdir(folder);
}

static void make_folder(void)
{
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/fuzz_XXXXXX", parent ? parent : "/tmp");
    if (!mkdtemp(folder)) {
        perror(folder);
        abort();
    }
    snprintf(config, sizeof config, "%s/config.json", folder);
    snprintf(weights, sizeof weights, "%s/model.safetensors", folder);
    atexit(remove_folder);
}

static void write_file(const char *path, const uint8_t *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
        perror(path);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!*folder)
        make_folder();
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t length = zero ? (size_t)(zero - data) : size;
    write_file(config, data, length);
    write_file(weights, zero ? zero + 1 : data, zero ? size - length - 1 : 0);
    read_model(folder);
    return 0;
}
