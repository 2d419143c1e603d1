// The page is viewer.html, which is in the program, with one JSON object in it: the stages, the
// scripts' text, and the op and dtype tables as far as the page explains them. All that is drawn is
// drawn by the page.
//
// The object stands in a <script> of type application/json. There only `<` could end it early or
// begin a comment; in JSON `<` occurs in strings alone, where \u003c is the same.
#include "tools/compiler/html.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "graph/base/ops.h"
#include "graph/formats.h"
#include "tools/compiler/cost_note.h"

// .incbin, and not a generated array: any assembler has it, and nothing needs to be installed.
__asm__(".pushsection .rodata\n"
        ".global viewer_html\n"
        "viewer_html: .incbin \"tools/compiler/viewer.html\"\n"
        ".byte 0\n"
        ".popsection\n");
extern const char viewer_html[];

void html_add_stage(Text *stages, const char *pass, const char *why, const Module *module)
{
    text_print(stages, "%s{\"pass\": \"%s\", \"why\": ", stages->length ? ",\n" : "", pass);
    quote_utf8(stages, why);
    text_print(stages, ", \"module\":\n");
    module_print_json(module, cost_note, stages);
    text_print(stages, "}");
}

// Strings end at a NUL: of a script that holds one (a Lua string may) the rest is not shown.
static void print_script(Text *out, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return;
    Text text = {0};
    char buffer[65536];
    for (size_t got; (got = fread(buffer, 1, sizeof buffer, file)) > 0;)
        text_append(&text, buffer, got);
    fclose(file);
    text_append(&text, "", 0);
    const char *slash = strrchr(path, '/');
    text_print(out, "%s{\"file\": ", out->length ? ",\n" : "");
    quote_utf8(out, slash ? slash + 1 : path);
    text_print(out, ", \"text\": ");
    quote_utf8(out, text.bytes);
    text_print(out, "}");
    text_free(&text);
}

static void print_ops(Text *out)
{
    for (int op = 0; op < OP_COUNT; op++) {
        text_print(out, "%s\"%s\": {\"signature\": ", op ? ",\n" : "", op_table[op].name);
        quote_utf8(out, op_table[op].signature);
        text_print(out, ", \"meaning\": ");
        quote_utf8(out, op_table[op].meaning);
        text_print(out, "}");
    }
}

static void print_dtypes(Text *out)
{
    for (int i = 0; i < DTYPE_COUNT; i++)
        text_print(out, "%s\"%s\": {\"elements\": %d, \"bytes\": %d}", i ? ", " : "",
                   dtype_table[i].name, dtype_table[i].block_elements, dtype_table[i].block_bytes);
}

static void print_layouts(Text *out)
{
    for (int i = 0; i < LAYOUT_COUNT; i++) {
        text_print(out, "%s\"%s\": ", i ? ", " : "", layout_table[i].name);
        quote_utf8(out, layout_table[i].description);
    }
}

static void print_data(Text *out, const char *stages, const char *title, const FileList *scripts)
{
    Text sources = {0};
    text_append(&sources, "", 0);
    for (int32_t i = 0; i < scripts->count; i++)
        print_script(&sources, scripts->items[i]);
    text_print(out, "{\"schema\": \"graphc.viewer/1\", \"title\": ");
    quote_utf8(out, title);
    text_print(out, ",\n\"sources\": [%s],\n\"ops\": {", sources.bytes);
    print_ops(out);
    text_print(out, "},\n\"dtypes\": {");
    print_dtypes(out);
    text_print(out, "},\n\"layouts\": {");
    print_layouts(out);
    text_print(out, "},\n\"stages\": [%s]}\n", stages);
    text_free(&sources);
}

void html_print(Text *page, const char *stages, const char *title, const FileList *scripts)
{
    static const char mark[] = "@DATA@";
    const char *place = strstr(viewer_html, mark);
    assert(place);
    Text data = {0};
    print_data(&data, stages, title, scripts);
    text_append(page, viewer_html, (size_t)(place - viewer_html));
    for (const char *c = data.bytes; *c; c++)
        text_append(page, *c == '<' ? "\\u003c" : c, *c == '<' ? 6 : 1);
    place += strlen(mark);
    text_append(page, place, strlen(place));
    text_free(&data);
}
