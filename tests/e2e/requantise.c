// requantise: the same llama with matrices of another type, so that every type is tested on
// trained weights.
//
//     requantise IN.gguf OUT.gguf f32|f16|bf16|q8_0|q4_0|q6_k|mixed [PAIRS [LAYERS]]
//
// Matrices of types F32, F16 and Q8_0 are read; vectors stay F32. `mixed` gives neighbours of one
// merge different types. PAIRS, if not 0, adds that many factors of rotary frequencies
// (`rope_freqs`), as Llama 3 files have them. LAYERS repeats the layers in turn until there are
// that many, for a file as large as one likes. Rounding is plain (no search for better scales):
// goldens are made from the written file, so only determinism counts. A tool for tests: it trusts
// its input. Alone, without the project's code, as the other oracles here.
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum Type { F32 = 0, F16 = 1, Q4_0 = 2, Q8_0 = 8, Q6_K = 14, BF16 = 30, MIXED = 99 } Type;

typedef struct Tensor {
    char name[65];
    uint32_t dims;
    uint64_t dim[4], offset;
    Type type;
} Tensor;

enum { TENSORS_MAX = 512, ALIGNMENT = 32 };

static Tensor tensors[TENSORS_MAX];
static const uint8_t *input, *cursor;

static void *check(void *pointer, const char *what)
{
    if (pointer)
        return pointer;
    perror(what);
    exit(2);
}

static uint64_t take(size_t bytes)
{
    uint64_t value = 0;
    memcpy(&value, cursor, bytes);
    cursor += bytes;
    return value;
}

static void skip_value(uint64_t kind)
{
    static const uint8_t sizes[13] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (kind == 8) {
        cursor += take(8);
    } else if (kind == 9) {
        uint64_t inner = take(4), count = take(8);
        while (count--)
            skip_value(inner);
    } else {
        cursor += sizes[kind];
    }
}

static uint64_t block_elements(Type type)
{
    return type == Q6_K ? 256 : type == Q8_0 || type == Q4_0 ? 32 : 1;
}

static uint64_t block_bytes(Type type)
{
    switch (type) {
    case F32: return 4;
    case Q8_0: return 34;
    case Q4_0: return 18;
    case Q6_K: return 210;
    default: return 2;
    }
}

static uint64_t element_count(const Tensor *tensor)
{
    uint64_t count = 1;
    for (uint32_t i = 0; i < tensor->dims; i++)
        count *= tensor->dim[i];
    return count;
}

// --- numbers

static float half_to_float(uint16_t bits)
{
    int exponent = bits >> 10 & 31;
    float mantissa = (float)(bits & 1023);
    float value = exponent ? ldexpf(mantissa + 1024, exponent - 25) : ldexpf(mantissa, -24);
    return bits & 0x8000 ? -value : value;
}

// To nearest, ties to even; values here are far from the ends of the range.
static uint16_t float_to_half(float value)
{
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    int exponent;
    float magnitude = fabsf(value);
    if (magnitude < ldexpf(1, -14))
        return (uint16_t)(sign | (int)nearbyintf(ldexpf(magnitude, 24)));
    frexpf(magnitude, &exponent);
    int mantissa = (int)nearbyintf(ldexpf(magnitude, 11 - exponent));
    return (uint16_t)(sign | (((exponent + 13) << 10) + mantissa));
}

static uint16_t float_to_bfloat(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static int clamp(float value, int low, int high)
{
    int rounded = (int)nearbyintf(value);
    return rounded < low ? low : rounded > high ? high : rounded;
}

// --- blocks

static float *read_elements(const Tensor *tensor, const uint8_t *data)
{
    uint64_t count = element_count(tensor);
    float *out = check(malloc(count * sizeof *out), "memory");
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *block = data + i / block_elements(tensor->type) * block_bytes(tensor->type);
        uint16_t half;
        memcpy(&half, block, 2);
        if (tensor->type == F32)
            memcpy(&out[i], block, 4);
        else if (tensor->type == F16)
            out[i] = half_to_float(half);
        else
            out[i] = half_to_float(half) * (float)(int8_t)block[2 + i % 32];
    }
    return out;
}

static float farthest(const float *x, int count)
{
    float most = 0;
    for (int i = 0; i < count; i++)
        most = fabsf(x[i]) > fabsf(most) ? x[i] : most;
    return most;
}

// Writes the scale; returns the reciprocal of what was written.
static float put_scale(uint8_t *out, float scale)
{
    uint16_t half = float_to_half(scale);
    memcpy(out, &half, 2);
    float written = half_to_float(half);
    return written != 0 ? 1 / written : 0;
}

static void write_q8_0(uint8_t *out, const float *x)
{
    float inverse = put_scale(out, fabsf(farthest(x, 32)) / 127);
    for (int i = 0; i < 32; i++)
        out[2 + i] = (uint8_t)clamp(x[i] * inverse, -127, 127);
}

static void write_q4_0(uint8_t *out, const float *x)
{
    float inverse = put_scale(out, farthest(x, 32) / -8);
    for (int i = 0; i < 16; i++)
        out[2 + i] = (uint8_t)(clamp(x[i] * inverse + 8, 0, 15) |
                               clamp(x[i + 16] * inverse + 8, 0, 15) << 4);
}

static void write_q6_k(uint8_t *out, const float *x)
{
    memset(out, 0, 210);
    float scale = put_scale(out + 208, fabsf(farthest(x, 256)) / (32 * 127));
    scale = scale != 0 ? 1 / scale : 0;
    for (int group = 0; group < 16; group++) {
        float most = farthest(x + group * 16, 16);
        int factor = scale != 0 ? clamp(most / (-32 * scale), -128, 127) : 0;
        float step = scale * (float)factor;
        out[192 + group] = (uint8_t)factor;
        for (int i = group * 16; i < group * 16 + 16; i++) {
            int quant = 32 + (step != 0 ? clamp(x[i] / step, -32, 31) : 0);
            int run = i % 128 / 32, at = i % 32;
            out[i / 128 * 64 + run % 2 * 32 + at] |= (uint8_t)((quant & 15) << (run / 2 * 4));
            out[128 + i / 128 * 32 + at] |= (uint8_t)(quant >> 4 << (2 * run));
        }
    }
}

static void write_block(Type type, uint8_t *out, const float *x)
{
    uint16_t half = type == BF16 ? float_to_bfloat(*x) : float_to_half(*x);
    switch (type) {
    case F32: memcpy(out, x, 4); break;
    case Q8_0: write_q8_0(out, x); break;
    case Q4_0: write_q4_0(out, x); break;
    case Q6_K: write_q6_k(out, x); break;
    default: memcpy(out, &half, 2); break;
    }
}

// --- the file

static Type type_from_name(const char *name)
{
    static const struct {
        const char *name;
        Type type;
    } types[] = {{"f32", F32},   {"f16", F16},   {"bf16", BF16},  {"q8_0", Q8_0},
                 {"q4_0", Q4_0}, {"q6_k", Q6_K}, {"mixed", MIXED}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0)
            return types[i].type;
    fprintf(stderr, "%s: no such type\n", name);
    exit(2);
}

static Type new_type(const Tensor *tensor, Type wanted)
{
    if (tensor->dims < 2)
        return F32;
    if (wanted != MIXED)
        return wanted;
    if (strstr(tensor->name, "attn_v") || strstr(tensor->name, "ffn_down"))
        return Q6_K;
    return strstr(tensor->name, "token_embd") || strstr(tensor->name, "ffn_up") ? Q8_0 : Q4_0;
}

static void put(FILE *out, uint64_t value, size_t bytes)
{
    fwrite(&value, 1, bytes, out);
}

static uint64_t padded(uint64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void pad(FILE *out)
{
    for (long at = ftell(out); at % ALIGNMENT; at++)
        fputc(0, out);
}

static uint64_t put_info(FILE *out, const Tensor *tensor, Type type, uint64_t offset)
{
    put(out, strlen(tensor->name), 8);
    fputs(tensor->name, out);
    put(out, tensor->dims, 4);
    for (uint32_t i = 0; i < tensor->dims; i++)
        put(out, tensor->dim[i], 8);
    put(out, type, 4);
    put(out, offset, 8);
    return offset + padded(element_count(tensor) / block_elements(type) * block_bytes(type));
}

static void put_data(FILE *out, const Tensor *tensor, Type type, const uint8_t *data)
{
    uint8_t block[256];
    float *elements = read_elements(tensor, data);
    for (uint64_t i = 0; i < element_count(tensor); i += block_elements(type)) {
        write_block(type, block, elements + i);
        fwrite(block, 1, block_bytes(type), out);
    }
    pad(out);
    free(elements);
}

static const uint8_t *read_file(const char *path)
{
    FILE *file = check(fopen(path, "rb"), path);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    uint8_t *bytes = check(malloc(size), "memory");
    rewind(file);
    if (fread(bytes, 1, size, file) != size)
        check(NULL, path);
    fclose(file);
    return bytes;
}

static void read_infos(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        size_t length = take(8);
        memcpy(tensors[i].name, cursor, length);
        cursor += length;
        tensors[i].dims = (uint32_t)take(4);
        for (uint32_t d = 0; d < tensors[i].dims; d++)
            tensors[i].dim[d] = take(8);
        tensors[i].type = (Type)take(4);
        tensors[i].offset = take(8);
    }
}

// Made from nothing: 1, 1.25, 1.5 …
static const uint8_t *add_rope_factors(Tensor *tensor, uint64_t pairs)
{
    static float factors[256];
    for (int i = 0; i < 256; i++)
        factors[i] = 1 + (float)i / 4;
    *tensor = (Tensor){.name = "rope_freqs.weight", .dims = 1, .dim = {pairs}, .type = F32};
    return (const uint8_t *)factors;
}

// Repeats the tensors of layers 0 … old-1 as layers old … layers-1; returns the count of tensors.
static uint64_t repeat_layers(uint64_t count, uint32_t old, uint32_t layers)
{
    uint64_t all = count;
    for (uint32_t layer = old; layer < layers; layer++)
        for (uint64_t i = 0; i < count; i++) {
            unsigned block;
            int rest = 0;
            if (sscanf(tensors[i].name, "blk.%u.%n", &block, &rest) != 1 || block != layer % old)
                continue;
            if (all + 1 >= TENSORS_MAX) {
                fprintf(stderr, "too many layers\n");
                exit(2);
            }
            tensors[all] = tensors[i];
            snprintf(tensors[all++].name, sizeof tensors->name, "blk.%u.%.40s", layer,
                     tensors[i].name + rest);
        }
    return all;
}

// The value of the key at the cursor if that is the number of layers, else NULL.
static uint8_t *block_count_value(void)
{
    static const char key[] = "llama.block_count";
    size_t length = sizeof key - 1;
    bool found = memcmp(cursor + 8, key, length) == 0;
    return found ? (uint8_t *)(uintptr_t)(cursor + 8 + length + 4) : NULL;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return fprintf(stderr, "usage: requantise IN.gguf OUT.gguf TYPE [PAIRS [LAYERS]]\n"), 2;
    cursor = input = read_file(argv[1]);
    cursor += 8;
    uint64_t count = take(8), pairs = take(8);
    if (memcmp(input, "GGUF", 4) != 0 || count >= TENSORS_MAX)
        return fprintf(stderr, "%s: not a GGUF that this tool reads\n", argv[1]), 2;
    const uint8_t *metadata = cursor;
    uint8_t *layers_value = NULL;
    for (uint64_t i = 0; i < pairs; i++) {
        layers_value = layers_value ? layers_value : block_count_value();
        cursor += take(8);
        skip_value(take(4));
    }
    size_t metadata_bytes = (size_t)(cursor - metadata);
    read_infos(count);
    const uint8_t *data = input + padded((uint64_t)(cursor - input)), *factors = NULL;
    uint32_t old = 0, layers = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) : 0;
    if (layers_value)
        memcpy(&old, layers_value, sizeof old);
    if (old && layers > old) {
        memcpy(layers_value, &layers, sizeof layers);
        count = repeat_layers(count, old, layers);
    }
    if (argc > 4 && strcmp(argv[4], "0") != 0)
        factors = add_rope_factors(&tensors[count], strtoull(argv[4], NULL, 10));

    Type wanted = type_from_name(argv[3]);
    uint64_t offset = 0, all = count + (factors != NULL);
    FILE *out = check(fopen(argv[2], "wb"), argv[2]);
    fwrite("GGUF\3\0\0\0", 1, 8, out);
    put(out, all, 8);
    put(out, pairs, 8);
    fwrite(metadata, 1, metadata_bytes, out);
    for (uint64_t i = 0; i < all; i++)
        offset = put_info(out, &tensors[i], new_type(&tensors[i], wanted), offset);
    pad(out);
    for (uint64_t i = 0; i < all; i++)
        put_data(out, &tensors[i], new_type(&tensors[i], wanted),
                 i == count ? factors : data + tensors[i].offset);
    return fclose(out) == 0 ? 0 : 2;
}
