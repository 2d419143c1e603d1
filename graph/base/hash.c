#include "graph/base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

uint64_t hash64(const void *bytes, size_t length, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, length, seed);
}

Hash128 hash128(const void *bytes, size_t length)
{
    XXH128_hash_t hash = XXH3_128bits(bytes, length);
    return (Hash128){hash.low64, hash.high64};
}

HashStream *hash_stream_begin(void)
{
    XXH3_state_t *state = XXH3_createState();
    if (!state) {
        fprintf(stderr, "error: out of memory\n");
        exit(1);
    }
    XXH3_128bits_reset(state);
    return (HashStream *)state;
}

void hash_stream_add(HashStream *stream, const void *bytes, size_t length)
{
    XXH3_128bits_update((XXH3_state_t *)stream, bytes, length);
}

Hash128 hash_stream_end(HashStream *stream)
{
    XXH128_hash_t hash = XXH3_128bits_digest((XXH3_state_t *)stream);
    XXH3_freeState((XXH3_state_t *)stream);
    return (Hash128){hash.low64, hash.high64};
}
