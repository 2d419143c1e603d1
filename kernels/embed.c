// embed: one tile a token. It reads a row whatever the type and layout, so that a head's matrix can
// be packed and still serve as the embedding; a step embeds few rows, and no faster variant is
// needed.
#include "kernels/embed.h"

#include <assert.h>

int64_t embed_tiles(const KernelCall *call)
{
    return call->results[0].rows;
}

void embed_ref(const KernelCall *call, void *scratch, int64_t first, int64_t last)
{
    (void)scratch;
    const KernelOperand *weights = &call->operands[0], *result = &call->results[0];
    const int32_t *tokens = call->operands[1].data;
    float *out = result->data;
    for (int64_t t = first; t < last; t++) {
        assert(tokens[t] >= 0 && tokens[t] < weights->rows);
        packed_row_to_f32(weights->dtype, weights->layout, weights->data, tokens[t],
                          weights->columns, out + t * weights->columns);
    }
}
