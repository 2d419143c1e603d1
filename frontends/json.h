// JSON files of models: strict where cJSON is lax, so that what other programs refuse is refused
// here too, with its line. RFC 8259 to the letter, valid UTF-8, at most 64 levels, no key twice in
// an object, no \u0000.
#ifndef FRONTENDS_JSON_H
#define FRONTENDS_JSON_H

#include <cjson/cJSON.h>

#include "graph/base/diag.h"

#include <stdint.h>

enum { JSON_BYTES_MAX = 100 << 20 };

// Parses text of at most JSON_BYTES_MAX bytes; `path` is for messages. NULL with a message. The
// caller frees it with cJSON_Delete.
cJSON *json_parse(const char *path, const void *text, uint64_t bytes, Diag *diag);
// A whole number from `least` to 2^53, the largest up to which a double is exact.
bool json_whole(const cJSON *value, int64_t least, int64_t *whole);

#endif
