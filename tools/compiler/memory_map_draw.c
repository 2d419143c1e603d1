// The picture and the trace of --mem: time is counted in epochs.
//
// The SVG has one drawing a phase, epochs to the right and offsets down, a rectangle a value; what
// a pointer rests on tells its name, place and lifetime. It needs nothing beside itself. In the
// trace (Chrome's JSON, which Perfetto reads too) a phase is a process, an epoch a microsecond.
// Events of one row must not overlap there, so values take the first row that is free, not one an
// offset.
#include "tools/compiler/memory_map.h"

#include <string.h>

enum { LEFT = 110, HEAD = 44, HEIGHT = 320, GAP = 30, WIDTH_LEAST = 700, EPOCH_LEAST = 6 };

static double epoch_width(const PhaseLifetimes *phase)
{
    double width = phase->epochs ? (double)WIDTH_LEAST / phase->epochs : WIDTH_LEAST;
    return width < EPOCH_LEAST ? EPOCH_LEAST : width;
}

// Text of a document: the characters that mean something to XML are written as references.
static void print_xml(const char *text, Text *out)
{
    for (; *text; text++) {
        const char *reference = *text == '<'   ? "&lt;"
                                : *text == '>' ? "&gt;"
                                : *text == '&' ? "&amp;"
                                : *text == '"' ? "&quot;"
                                               : NULL;
        if (reference)
            text_append(out, reference, strlen(reference));
        else
            text_append(out, text, 1);
    }
}

static void svg_value(const MemoryMap *map, const PhaseLifetimes *phase, const Lifetime *value,
                      double top, Text *out)
{
    char room[16];
    const PlanOperand *operand = value->operand;
    double scale = (double)HEIGHT / (double)(phase->peak ? phase->peak : 1);
    double x = LEFT + value->first * epoch_width(phase);
    text_print(out,
               "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" "
               "fill=\"hsl(%u,55%%,62%%)\"><title>",
               x, top + (double)operand->offset * scale,
               (value->last - value->first + 1) * epoch_width(phase),
               (double)operand->bytes * scale, value->step->op * 47 % 360);
    print_xml(lifetime_name(map->plan, value, room), out);
    text_print(out, " = %s&#10;act+0x%llx, %lld bytes&#10;epochs %d to %d&#10;",
               op_table[value->step->op].name, (unsigned long long)operand->offset,
               (long long)operand->bytes, value->first, value->last);
    print_xml(plan_string(map->plan, value->step->location), out);
    text_print(out, "</title></rect>\n");
}

static void svg_phase(const MemoryMap *map, const PhaseLifetimes *phase, double top, Text *out)
{
    double width = epoch_width(phase) * phase->epochs;
    text_print(out, "<g>\n<text x=\"10\" y=\"%.0f\" class=\"title\">@", top + 18);
    print_xml(plan_string(map->plan, phase->phase->name), out);
    text_print(out, " T&lt;=%lld: peak %lld bytes, lower bound %lld, %d epochs</text>\n",
               (long long)phase->phase->bound_t, (long long)phase->peak, (long long)phase->bound,
               phase->epochs);
    text_print(out,
               "<text x=\"10\" y=\"%.0f\">act+0x0</text>\n<text x=\"10\" y=\"%d\">+0x%llx</text>\n"
               "<rect x=\"%d\" y=\"%.0f\" width=\"%.2f\" height=\"%d\" class=\"arena\"/>\n",
               top + HEAD, (int)top + HEAD + HEIGHT, (unsigned long long)phase->peak, LEFT,
               top + HEAD - 10, width, HEIGHT);
    for (int32_t i = 0; i < phase->values.count; i++)
        if (phase->values.items[i].block >= 0)
            svg_value(map, phase, &phase->values.items[i], top + HEAD - 10, out);
    text_print(out, "</g>\n");
}

void memory_map_svg(const MemoryMap *map, Text *out)
{
    double width = WIDTH_LEAST;
    for (int32_t i = 0; i < map->phases.count; i++) {
        double own = epoch_width(&map->phases.items[i]) * map->phases.items[i].epochs;
        width = own > width ? own : width;
    }
    text_print(out,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%d\">\n"
               "<style>text{font:12px sans-serif}.title{font-weight:bold}"
               ".arena{fill:#f4f4f4;stroke:#888}"
               "rect{stroke:#333;stroke-width:.5;fill-opacity:.85}</style>\n",
               width + LEFT + GAP, map->phases.count * (HEAD + HEIGHT + GAP) + GAP);
    for (int32_t i = 0; i < map->phases.count; i++)
        svg_phase(map, &map->phases.items[i], i * (HEAD + HEIGHT + GAP), out);
    text_print(out, "</svg>\n");
}

// The first row whose last value is dead, and marks it taken.
static int32_t take_row(int32_t *row_ends, const Lifetime *value)
{
    int32_t row = 0;
    while (row_ends[row] > value->first)
        row++;
    row_ends[row] = value->last + 1;
    return row;
}

static void trace_value(const MemoryMap *map, const Lifetime *value, int32_t process, int32_t row,
                        Text *out)
{
    char room[16];
    const char *name = lifetime_name(map->plan, value, room);
    text_print(out, ",\n{\"name\": ");
    text_quote(out, name, strlen(name));
    text_print(out,
               ", \"cat\": \"%s\", \"ph\": \"X\", \"ts\": %d, \"dur\": %d, \"pid\": %d, "
               "\"tid\": %d, \"args\": {\"region\": \"%s\", \"offset\": %lld, \"bytes\": %lld}}",
               op_table[value->step->op].name, value->first, value->last - value->first + 1,
               process, row, region_names[value->operand->region],
               (long long)value->operand->offset, (long long)value->operand->bytes);
}

void memory_map_trace(const MemoryMap *map, Text *out)
{
    Arena arena = {0};
    text_print(out, "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [");
    for (int32_t i = 0; i < map->phases.count; i++) {
        const PhaseLifetimes *phase = &map->phases.items[i];
        const char *name = plan_string(map->plan, phase->phase->name);
        text_print(out,
                   "%s{\"name\": \"process_name\", \"ph\": \"M\", \"pid\": %d, \"args\": "
                   "{\"name\": ",
                   i ? ",\n" : "\n", i);
        text_quote(out, name, strlen(name));
        text_print(out, "}}");
        int32_t *row_ends = ARENA_ARRAY(&arena, int32_t, phase->values.count + 1);
        for (int32_t j = 0; j < phase->values.count; j++)
            trace_value(map, &phase->values.items[j], i,
                        take_row(row_ends, &phase->values.items[j]), out);
    }
    text_print(out, "\n]}\n");
    arena_free(&arena);
}
