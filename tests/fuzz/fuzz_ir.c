// Hostile graph text: module_parse accepts it or refuses it with a message, and what it accepts
// prints to text that parses again to the same text.
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Parses text and prints the module; false when it was refused.
static bool round_trip(const char *text, Text *printed)
{
    Arena arena = {0};
    Diag diag = {0};
    Module *module = module_parse(text, "fuzz.ir", &arena, &diag);
    if ((module == NULL) != diag.failed)
        abort();
    if (module)
        module_print(module, printed);
    arena_free(&arena);
    return module != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Text text = {0}, first = {0}, second = {0};
    text_append(&text, (const char *)data, size);
    if (round_trip(text.bytes ? text.bytes : "", &first) &&
        (!round_trip(first.bytes, &second) || strcmp(first.bytes, second.bytes) != 0))
        abort();
    text_free(&text);
    text_free(&first);
    text_free(&second);
    return 0;
}
