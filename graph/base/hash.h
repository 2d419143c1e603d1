// Hashing: XXH3 (xxHash), 64 bits for tables, 128 bits for what is kept on disk.
#ifndef GRAPH_BASE_HASH_H
#define GRAPH_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct Hash128 {
    uint64_t low, high;
} Hash128;

uint64_t hash64(const void *bytes, size_t length, uint64_t seed);
Hash128 hash128(const void *bytes, size_t length);

// For input that comes in pieces. hash128_stream_end frees the stream.
typedef struct HashStream HashStream;
HashStream *hash_stream_begin(void);
void hash_stream_add(HashStream *stream, const void *bytes, size_t length);
Hash128 hash_stream_end(HashStream *stream);

#endif
