// Hostile files of the formats that are one file, GGUF and llama2.c: whatever model_file_open
// accepts must be readable to the last byte, and it must refuse the rest with a message.
#include "tests/fuzz/bytes_file.h"
#include "tests/fuzz/read_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_model(bytes_file(data, size));
    return 0;
}
