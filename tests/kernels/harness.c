#include "tests/kernels/harness.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/math.h"

enum { GUARD_BYTES = 256, GUARD = 0xc5, GARBAGE = 0xff };

uint32_t random_bits(Random *random)
{
    // SplitMix64 (Steele, Lea and Flood 2014).
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)(z >> 32);
}

int32_t random_between(Random *random, int32_t least, int32_t most)
{
    uint32_t span = (uint32_t)(most - least) + 1;
    return least + (int32_t)(random_bits(random) % span);
}

float random_float(Random *random)
{
    return (float)(int32_t)random_bits(random) * 0x1p-31f;
}

// The allocation: guard (its first 8 bytes hold the size), memory, guard.
void *guarded_new(int64_t bytes)
{
    uint8_t *all = NULL;
    ck_assert_int_eq(posix_memalign((void **)&all, 64, (size_t)bytes + 2 * GUARD_BYTES), 0);
    memset(all, GUARD, GUARD_BYTES);
    memcpy(all, &bytes, sizeof bytes);
    memset(all + GUARD_BYTES, GARBAGE, (size_t)bytes);
    memset(all + GUARD_BYTES + bytes, GUARD, GUARD_BYTES);
    return all + GUARD_BYTES;
}

void guarded_check(const void *memory)
{
    const uint8_t *before = (const uint8_t *)memory - GUARD_BYTES;
    int64_t bytes;
    memcpy(&bytes, before, sizeof bytes);
    const uint8_t *after = (const uint8_t *)memory + bytes;
    // Check writes to a file at every assertion, passed or not: loops assert what went wrong only.
    for (size_t i = 0; i < GUARD_BYTES; i++) {
        if (i >= sizeof bytes && before[i] != GUARD)
            ck_abort_msg("written %d bytes before the memory", (int)(GUARD_BYTES - i));
        if (after[i] != GUARD)
            ck_abort_msg("written %d bytes after the memory", (int)i + 1);
    }
}

void guarded_free(void *memory)
{
    if (memory)
        free((uint8_t *)memory - GUARD_BYTES);
}

static int64_t operand_bytes(const KernelOperand *operand)
{
    return layout_bytes(operand->dtype, operand->layout, operand->rows, operand->columns);
}

KernelOperand operand_new(DType dtype, Layout layout, int64_t rows, int64_t columns)
{
    KernelOperand operand = {NULL, rows, columns, dtype, layout};
    operand.data = guarded_new(operand_bytes(&operand));
    return operand;
}

static float fill_float(Random *random, Fill fill)
{
    if (fill == FILL_small)
        return (float)random_between(random, -3, 3);
    return random_float(random);
}

static int32_t fill_quant(Random *random, Fill fill, int32_t least, int32_t most)
{
    if (fill == FILL_small)
        return random_between(random, -3, 3);
    if (fill == FILL_extreme)
        return random_bits(random) & 1 ? least : most;
    return random_between(random, least, most);
}

static uint16_t fill_scale(Random *random, Fill fill)
{
    return f32_to_f16(fill == FILL_small ? 1.0f : random_float(random) * 0.01f);
}

static void fill_q8_0(uint8_t *block, Random *random, Fill fill)
{
    uint16_t scale = fill_scale(random, fill);
    memcpy(block, &scale, 2);
    for (int k = 0; k < 32; k++)
        block[2 + k] = (uint8_t)fill_quant(random, fill, -128, 127);
}

static uint8_t fill_nibbles(Random *random, Fill fill)
{
    int low = fill_quant(random, fill, -8, 7) + 8, high = fill_quant(random, fill, -8, 7) + 8;
    return (uint8_t)(low | high << 4);
}

// Factors, fifth bits if there are any, nibbles: the blocks of 32 below eight bits.
static void fill_block32(uint8_t *block, int factors, int fifths_bytes, Random *random, Fill fill)
{
    for (int f = 0; f < factors; f++) {
        uint16_t scale = fill_scale(random, fill);
        memcpy(block + 2 * f, &scale, 2);
    }
    uint32_t extreme = fill == FILL_extreme ? random_bits(random) : 0;
    for (int i = 0; i < fifths_bytes; i++)
        block[2 * factors + i] = (uint8_t)(fill == FILL_random ? random_bits(random) : extreme);
    for (int i = 0; i < 16; i++)
        block[2 * factors + fifths_bytes + i] = fill_nibbles(random, fill);
}

// Quants in the file's order of bytes: any assignment of random quants to places will do.
static void fill_q6_k(uint8_t *block, Random *random, Fill fill)
{
    for (int half = 0; half < 2; half++)
        for (int l = 0; l < 32; l++) {
            int quant[4];
            for (int part = 0; part < 4; part++)
                quant[part] = fill_quant(random, fill, -32, 31) + 32;
            uint8_t *low = block + half * 64 + l;
            low[0] = (uint8_t)((quant[0] & 15) | (quant[2] & 15) << 4);
            low[32] = (uint8_t)((quant[1] & 15) | (quant[3] & 15) << 4);
            block[128 + half * 32 + l] = (uint8_t)(quant[0] >> 4 | quant[1] >> 4 << 2 |
                                                   quant[2] >> 4 << 4 | quant[3] >> 4 << 6);
        }
    for (int group = 0; group < 16; group++)
        block[192 + group] = (uint8_t)fill_quant(random, fill, -128, 127);
    uint16_t scale = fill_scale(random, fill);
    memcpy(block + 208, &scale, 2);
}

// Unsigned bits of the mask, small where quants are.
static uint8_t fill_bits(Random *random, Fill fill, uint8_t mask)
{
    return (uint8_t)(abs(fill_quant(random, fill, 0, mask)) & mask);
}

// Two factors, 8 subscales and 8 minima of 6 bits, then all that is left is quants.
static void fill_q45_k(DType dtype, uint8_t *block, Random *random, Fill fill)
{
    for (int i = 0; i < 2; i++) {
        uint16_t factor = fill_scale(random, fill);
        memcpy(block + 2 * i, &factor, 2);
    }
    for (int i = 0; i < 4; i++) {
        int subscale = fill_bits(random, fill, 63), least = fill_bits(random, fill, 63);
        block[4 + i] = (uint8_t)(fill_bits(random, fill, 63) | subscale >> 4 << 6);
        block[8 + i] = (uint8_t)(fill_bits(random, fill, 63) | least >> 4 << 6);
        block[12 + i] = (uint8_t)((subscale & 15) | (least & 15) << 4);
    }
    for (int i = 16; i < dtype_table[dtype].block_bytes; i++)
        block[i] = (uint8_t)(fill_bits(random, fill, 15) | fill_bits(random, fill, 15) << 4);
}

static void fill_plain_row(DType dtype, uint8_t *row, int64_t columns, Random *random, Fill fill)
{
    const DTypeInfo *info = &dtype_table[dtype];
    for (int64_t b = 0; b < columns / info->block_elements; b++, row += info->block_bytes) {
        float value = 0;
        uint16_t half = 0;
        switch (dtype) {
        case DTYPE_q8_0: fill_q8_0(row, random, fill); continue;
        case DTYPE_q4_0:
        case DTYPE_iq4_nl: fill_block32(row, 1, 0, random, fill); continue;
        case DTYPE_q4_1: fill_block32(row, 2, 0, random, fill); continue;
        case DTYPE_q5_0: fill_block32(row, 1, 4, random, fill); continue;
        case DTYPE_q5_1: fill_block32(row, 2, 4, random, fill); continue;
        case DTYPE_q4_k:
        case DTYPE_q5_k: fill_q45_k(dtype, row, random, fill); continue;
        case DTYPE_q6_k: fill_q6_k(row, random, fill); continue;
        case DTYPE_f32:
            value = fill_float(random, fill);
            memcpy(row, &value, sizeof value);
            continue;
        case DTYPE_f16: half = f32_to_f16(fill_float(random, fill)); break;
        case DTYPE_bf16: half = (uint16_t)(f32_bits(fill_float(random, fill)) >> 16); break;
        default: ck_abort_msg("no way to fill %s", info->name);
        }
        memcpy(row, &half, sizeof half);
    }
}

static int32_t *activation_word(const KernelOperand *operand, int64_t token, int64_t block,
                                int word)
{
    int64_t tokens = layout_table[operand->layout].panel_rows;
    int64_t words = dtype_table[operand->dtype].block_bytes / 4;
    int64_t tile = layout_panel_bytes(operand->dtype, operand->layout, operand->columns) / 4;
    return (int32_t *)operand->data + token / tokens * tile + (block * words + word) * tokens +
           token % tokens;
}

static void fill_q8_block(const KernelOperand *operand, int64_t token, int64_t block, float scale,
                          const int8_t quants[32])
{
    int32_t sum = 0;
    for (int k = 0; k < 32; k++)
        sum += quants[k];
    *activation_word(operand, token, block, 0) = -sum;
    memcpy(activation_word(operand, token, block, 1), &scale, 4);
    for (int quad = 0; quad < 8; quad++)
        memcpy(activation_word(operand, token, block, 2 + quad), quants + 4 * quad, 4);
}

static void fill_q8k_block(const KernelOperand *operand, int64_t token, int64_t block, float scale,
                           const int8_t quants[256])
{
    int16_t sums[16] = {0};
    memcpy(activation_word(operand, token, block, 0), &scale, 4);
    for (int k = 0; k < 256; k++)
        sums[k / 16] = (int16_t)(sums[k / 16] + quants[k]);
    for (int pair = 0; pair < 8; pair++)
        memcpy(activation_word(operand, token, block, 1 + pair), sums + 2 * pair, 4);
    for (int quad = 0; quad < 64; quad++)
        memcpy(activation_word(operand, token, block, 9 + quad), quants + 4 * quad, 4);
}

static void fill_pair(const KernelOperand *operand, int64_t token, int64_t pair, Random *random,
                      Fill fill)
{
    uint16_t elements[2];
    for (int k = 0; k < 2; k++)
        elements[k] = f32_to_bf16(fill_float(random, fill));
    memcpy(activation_word(operand, token, pair, 0), elements, sizeof elements);
}

static void fill_token(const KernelOperand *operand, int64_t token, Random *random, Fill fill)
{
    int32_t elements = dtype_table[operand->dtype].block_elements;
    for (int64_t block = 0; block < operand->columns / elements; block++) {
        if (operand->dtype == DTYPE_bf16x2) {
            fill_pair(operand, token, block, random, fill);
            continue;
        }
        int8_t quants[256];
        float scale = fill == FILL_small ? 1.0f : random_float(random) * 0.01f;
        for (int k = 0; k < elements; k++)
            quants[k] = (int8_t)fill_quant(random, fill, -127, 127);
        if (operand->dtype == DTYPE_q8)
            fill_q8_block(operand, token, block, scale, quants);
        else
            fill_q8k_block(operand, token, block, scale, quants);
    }
}

void operand_fill(const KernelOperand *operand, uint64_t seed, Fill fill)
{
    bool activation = dtype_table[operand->dtype].kind == DTYPE_KIND_ACT;
    ck_assert(activation || operand->layout == LAYOUT_plain);
    for (int64_t row = 0; row < operand->rows; row++) {
        Random random = {seed * 1000003 + (uint64_t)row};
        if (activation)
            fill_token(operand, row, &random, fill);
        else
            fill_plain_row(operand->dtype,
                           (uint8_t *)operand->data +
                               row * dtype_row_bytes(operand->dtype, operand->columns),
                           operand->columns, &random, fill);
    }
}

void operand_fill_integers(const KernelOperand *operand, uint64_t seed, int32_t least, int32_t most)
{
    Random random = {seed};
    ck_assert(operand->dtype == DTYPE_i32);
    for (int64_t i = 0; i < operand->rows * operand->columns; i++)
        ((int32_t *)operand->data)[i] = random_between(&random, least, most);
}

Layout packed_layout(DType dtype)
{
    switch (dtype) {
    case DTYPE_f32: return LAYOUT_n16k1;
    case DTYPE_f16: return LAYOUT_n32k1;
    case DTYPE_bf16: return LAYOUT_n32k2;
    default: return LAYOUT_n16k4;
    }
}

KernelOperand operand_pack(const KernelOperand *plain, Layout layout)
{
    KernelOperand packed = operand_new(plain->dtype, layout, plain->rows, plain->columns);
    int64_t panel_rows = layout_table[layout].panel_rows;
    int64_t row_bytes = dtype_row_bytes(plain->dtype, plain->columns);
    int64_t panel_bytes = layout_panel_bytes(plain->dtype, layout, plain->columns);
    for (int64_t panel = 0; panel * panel_rows < plain->rows; panel++) {
        const void *rows[32];
        for (int64_t r = 0; r < panel_rows; r++) {
            int64_t row = panel * panel_rows + r;
            rows[r] = row < plain->rows ? (const uint8_t *)plain->data + row * row_bytes : NULL;
        }
        pack_panel(plain->dtype, layout, rows, plain->columns,
                   (uint8_t *)packed.data + panel * panel_bytes);
    }
    guarded_check(packed.data);
    return packed;
}

KernelOperand operand_copy(const KernelOperand *operand)
{
    KernelOperand copy =
        operand_new(operand->dtype, operand->layout, operand->rows, operand->columns);
    memcpy(copy.data, operand->data, (size_t)operand_bytes(operand));
    return copy;
}

void operand_free(KernelOperand *operand)
{
    guarded_free(operand->data);
    operand->data = NULL;
}

ActivationBlock activation_block(const KernelOperand *operand, int64_t token, int64_t block)
{
    ActivationBlock out;
    memset(&out, 0, sizeof out);
    bool q8 = operand->dtype == DTYPE_q8;
    memcpy(&out.scale, activation_word(operand, token, block, q8 ? 1 : 0), 4);
    int16_t sums[16];
    for (int pair = 0; pair < 8; pair++)
        memcpy(sums + 2 * pair, activation_word(operand, token, block, 1 + pair), 4);
    for (int i = 0; i < (q8 ? 1 : 16); i++)
        out.sums[i] = q8 ? -*activation_word(operand, token, block, 0) : sums[i];
    for (int quad = 0; quad < (q8 ? 8 : 64); quad++)
        memcpy(out.quants + 4 * quad, activation_word(operand, token, block, (q8 ? 2 : 9) + quad),
               4);
    return out;
}

float activation_element(const KernelOperand *operand, int64_t token, int64_t k)
{
    int32_t elements = dtype_table[operand->dtype].block_elements;
    if (operand->dtype == DTYPE_bf16x2) {
        uint32_t word = (uint32_t)*activation_word(operand, token, k / 2, 0);
        return f32_from_bits(k % 2 ? word & 0xffff0000u : word << 16);
    }
    ActivationBlock block = activation_block(operand, token, k / elements);
    return block.scale * (float)block.quants[k % elements];
}

static void shuffle_ranges(int64_t (*ranges)[2], int count, Random *random)
{
    for (int i = count - 1; i > 0; i--) {
        int j = random_between(random, 0, i);
        int64_t begin = ranges[i][0], end = ranges[i][1];
        memcpy(ranges[i], ranges[j], sizeof ranges[i]);
        ranges[j][0] = begin;
        ranges[j][1] = end;
    }
}

// Cuts 0 … tiles-1 in at most `most` ranges.
static int cut_ranges(int64_t tiles, int64_t (*ranges)[2], int most, Random *random)
{
    int count = 0;
    for (int64_t at = 0; at < tiles; count++) {
        int64_t rest = tiles - at;
        int64_t length = count == most - 1 ? rest : random_between(random, 1, (int)rest);
        ranges[count][0] = at;
        ranges[count][1] = at += length;
    }
    shuffle_ranges(ranges, count, random);
    return count;
}

static KernelCall call_of(const Case *test)
{
    return (KernelCall){.results = test->results,
                        .operands = test->operands,
                        .result_count = test->result_count,
                        .operand_count = test->operand_count,
                        .attributes = &test->attributes,
                        .pages = test->pages};
}

static void run_ranges(const KernelRow *row, KernelRun *run, const KernelCall *call, int64_t tiles,
                       Random *random)
{
    enum { RANGES = 8 };
    int64_t ranges[RANGES][2];
    int count = cut_ranges(tiles, ranges, RANGES, random);
    for (int i = 0; i < count; i++) {
        void *scratch = guarded_new(row->scratch ? row->scratch(call) : 0);
        run(call, scratch, ranges[i][0], ranges[i][1]);
        guarded_check(scratch);
        guarded_free(scratch);
    }
}

static void check_guards(const Case *test)
{
    for (int32_t i = 0; i < test->operand_count; i++)
        guarded_check(test->operands[i].data);
    for (int32_t i = 0; i < test->result_count; i++)
        guarded_check(test->results[i].data);
}

void case_run(const KernelRow *row, Case *test, Random *random)
{
    KernelCall call = call_of(test);
    run_ranges(row, row->run, &call, row->tiles(&call), random);
    check_guards(test);
}

bool case_run_parts(const KernelRow *row, Case *test, Random *random)
{
    KernelCall call = call_of(test);
    int64_t tiles = row->parts ? row->parts->tiles(&call) : 0;
    if (tiles == 0)
        return false;
    call.shared = guarded_new(row->parts->bytes(&call));
    run_ranges(row, row->parts->run, &call, tiles, random);
    run_ranges(row, row->parts->merge, &call, row->tiles(&call), random);
    guarded_check(call.shared);
    guarded_free(call.shared);
    check_guards(test);
    return true;
}

void case_free(Case *test)
{
    for (int32_t i = 0; i < test->operand_count; i++)
        operand_free(&test->operands[i]);
    for (int32_t i = 0; i < test->result_count; i++)
        operand_free(&test->results[i]);
}

static bool agrees(float a, float b, float tolerance)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    if (tolerance == 0)
        return f32_bits(a) == f32_bits(b);
    return fabsf(a - b) <= tolerance * fmaxf(1.0f, fabsf(b));
}

static void expect_floats(const KernelRow *row, const float *a, const float *b, int64_t rows,
                          int64_t columns, float tolerance)
{
    for (int64_t i = 0; i < rows * columns; i++)
        if (!agrees(a[i], b[i], tolerance))
            ck_abort_msg("%s: [%d,%d] is %.9g, expected %.9g", row->name, (int)(i / columns),
                         (int)(i % columns), (double)a[i], (double)b[i]);
}

// The distance between neighbours of what an element can be.
static float activation_step(const KernelOperand *operand, int64_t token, int64_t k)
{
    if (operand->dtype == DTYPE_bf16x2)
        return fabsf(activation_element(operand, token, k)) * 0x1p-7f;
    return activation_block(operand, token, k / dtype_table[operand->dtype].block_elements).scale;
}

static void expect_activations(const KernelRow *row, const KernelOperand *a, const KernelOperand *b,
                               float tolerance)
{
    const DTypeInfo *info = &dtype_table[a->dtype];
    for (int64_t token = 0; token < a->rows; token++)
        for (int64_t block = 0; block < a->columns / info->block_elements; block++) {
            bool equal = true;
            if (tolerance > 0) {
                int64_t end = (block + 1) * info->block_elements;
                for (int64_t k = block * info->block_elements; k < end; k++)
                    equal &=
                        agrees(activation_element(a, token, k), activation_element(b, token, k),
                               tolerance + activation_step(b, token, k));
            } else {
                for (int word = 0; word < info->block_bytes / 4; word++)
                    equal &= *activation_word(a, token, block, word) ==
                             *activation_word(b, token, block, word);
            }
            if (!equal)
                ck_abort_msg("%s: token %d, block %d differs", row->name, (int)token, (int)block);
        }
}

void operand_expect(const KernelRow *row, const KernelOperand *operand,
                    const KernelOperand *expected, float tolerance)
{
    ck_assert(operand->dtype == expected->dtype && operand->rows == expected->rows &&
              operand->columns == expected->columns);
    if (dtype_table[operand->dtype].kind == DTYPE_KIND_ACT)
        expect_activations(row, operand, expected, tolerance);
    else
        expect_floats(row, operand->data, expected->data, operand->rows, operand->columns,
                      tolerance);
}

bool row_runs_here(const KernelRow *row)
{
    if (row->target <= target_native())
        return true;
    printf("skip: %s: this machine has %s\n", row->name, target_names[target_native()]);
    return false;
}
