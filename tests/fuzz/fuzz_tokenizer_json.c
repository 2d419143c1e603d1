// Hostile tokenizer.json.
#include "tests/fuzz/tokenizer_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 4 && data[0] == '{')
        try_tokenizer_file(data, size);
    return 0;
}
