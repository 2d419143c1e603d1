// make_model: a safetensors file of random float32 weights, the same that architectures/make.py
// makes.
//
//     make_model tensors.txt OUT.safetensors [bf16 | rounded]
//
// bf16 keeps the upper half of each number; rounded writes the same numbers as float32.
//
// A line of tensors.txt is a name, a base, a scale and a shape. Element i is base + scale * u, u
// from -1 up to 1 out of 24 bits of splitmix64, begun with the FNV-1a hash of the name. Alone,
// without the project's code.
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TENSORS_MAX = 1000 };

typedef struct Tensor {
    char name[200], shape[100]; // shape as JSON writes it, without brackets
    float base, scale;
    long count;
} Tensor;

static void refuse(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

static int read_tensors(const char *path, Tensor *tensors)
{
    char line[400];
    int count = 0, used;
    FILE *file = fopen(path, "r");
    if (!file)
        refuse("%s: cannot be read", path);
    while (fgets(line, sizeof line, file)) {
        Tensor *tensor = &tensors[count++];
        if (count > TENSORS_MAX ||
            sscanf(line, "%199s %f %f%n", tensor->name, &tensor->base, &tensor->scale, &used) != 3)
            refuse("%s: what is this? %s", path, line);
        tensor->count = 1;
        char *end = line + used;
        for (long size; (size = strtol(end, &end, 10)) > 0; tensor->count *= size) {
            size_t length = strlen(tensor->shape);
            snprintf(tensor->shape + length, sizeof tensor->shape - length, "%s%ld",
                     length ? "," : "", size);
        }
    }
    fclose(file);
    return count;
}

static void write_header(FILE *out, const Tensor *tensors, int count, bool bf16)
{
    char *header = NULL;
    size_t bytes;
    long offset = 0;
    FILE *text = open_memstream(&header, &bytes);
    for (int i = 0; i < count; i++) {
        long end = offset + tensors[i].count * (bf16 ? 2 : 4);
        fprintf(text, "%c\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%ld,%ld]}",
                i ? ',' : '{', tensors[i].name, bf16 ? "BF16" : "F32", tensors[i].shape, offset,
                end);
        offset = end;
    }
    fputc('}', text);
    fclose(text);
    uint64_t length = bytes;
    fwrite(&length, sizeof length, 1, out);
    fwrite(header, 1, bytes, out);
    free(header);
}

static void write_number(FILE *out, float number, bool bf16, bool rounded)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    if (rounded)
        bits &= 0xffff0000u;
    uint16_t upper = (uint16_t)(bits >> 16);
    fwrite(bf16 ? (void *)&upper : &bits, bf16 ? sizeof upper : sizeof bits, 1, out);
}

static void write_numbers(FILE *out, const Tensor *tensor, bool bf16, bool rounded)
{
    uint64_t state = 0xcbf29ce484222325u;
    for (const char *c = tensor->name; *c; c++)
        state = (state ^ (unsigned char)*c) * 0x100000001b3u;
    for (long i = 0; i < tensor->count; i++) {
        uint64_t z = state += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        float u = (float)((z ^ z >> 31) >> 40) / 0x1p23f - 1;
        float number = tensor->scale * u;
        number += tensor->base;
        write_number(out, number, bf16, rounded);
    }
}

int main(int argc, char **argv)
{
    static Tensor tensors[TENSORS_MAX];
    bool bf16 = argc == 4 && strcmp(argv[3], "bf16") == 0;
    bool rounded = argc == 4 && strcmp(argv[3], "rounded") == 0;
    if (argc != 3 && !bf16 && !rounded)
        refuse("usage: make_model tensors.txt OUT.safetensors [bf16 | rounded]");
    int count = read_tensors(argv[1], tensors);
    FILE *out = fopen(argv[2], "wb");
    if (!out)
        refuse("%s: cannot be written", argv[2]);
    write_header(out, tensors, count, bf16);
    for (int i = 0; i < count; i++)
        write_numbers(out, &tensors[i], bf16, rounded);
    if (fclose(out) != 0)
        refuse("%s: cannot be written", argv[2]);
    return 0;
}
