// Dumps stream: each stage is printed when its pass is done, so that a pass that fails or crashes
// leaves those before it on stdout. Only the page waits for the end, because its stages stand in
// the middle of it.
#include "tools/compiler/dump.h"

#include <stdio.h>
#include <string.h>

#include "graph/formats.h"
#include "tools/compiler/cost_note.h"
#include "tools/compiler/html.h"

static const char *const format_names[DUMP_FORMATS] = {"text", "json", "dot", "html"};

static bool parse_when(const char *argument, Dump *dump, Diag *diag)
{
    if (!*argument || strcmp(argument, "final") == 0)
        dump->when = DUMP_FINAL;
    else if (strcmp(argument, "all") == 0)
        dump->when = DUMP_ALL;
    else if (strcmp(argument, "changed") == 0)
        dump->when = DUMP_CHANGED;
    else if ((dump->pass = pass_from_name(argument)) != PASS_COUNT)
        dump->when = DUMP_PASS;
    else
        return diag_fail(diag, (Where){0},
                         "--dump=%s: there is no such pass; --list-passes names "
                         "them (or all, changed, final)",
                         argument);
    return true;
}

bool dump_parse(const Options *options, Dump *dump, Diag *diag)
{
    *dump = (Dump){.when = DUMP_NONE, .pass = PASS_COUNT};
    if (options->format && !options->dump)
        return diag_fail(diag, (Where){0}, "--format is the form of a dump: add --dump");
    if (options->dump && !parse_when(options->dump, dump, diag))
        return false;
    const char *name = options->format ? options->format : format_names[DUMP_TEXT];
    int format = 0;
    while (format < DUMP_FORMATS && strcmp(format_names[format], name) != 0)
        format++;
    dump->format = (DumpFormat)format;
    if (format == DUMP_FORMATS)
        return diag_fail(diag, (Where){0}, "--format=%s: a dump can be text, json, dot or html",
                         name);
    return !options->explain || format == DUMP_TEXT ||
           diag_fail(diag, (Where){0},
                     "--explain prints text to stdout too: drop it, or --format=%s", name);
}

static void write_text(Text *text)
{
    fwrite(text->bytes, 1, text->length, stdout);
    text_free(text);
}

static void print_module(DumpFormat format, const Module *module)
{
    Text text = {0};
    switch (format) {
    case DUMP_JSON: module_print_json(module, cost_note, &text); break;
    case DUMP_DOT: module_print_dot(module, &text); break;
    default: module_print(module, &text); break;
    }
    write_text(&text);
}

// Whether the module differs from what it was when this was asked last.
static bool has_changed(Dump *dump, const Module *module)
{
    Text text = {0};
    module_print(module, &text);
    bool changed =
        text.length != dump->last.length || memcmp(text.bytes, dump->last.bytes, text.length) != 0;
    text_free(&dump->last);
    dump->last = text;
    return changed;
}

// One of several stages: what stands before, the module, what stands behind.
static void print_stage(Dump *dump, const char *pass, const Module *module)
{
    if (dump->format == DUMP_JSON)
        printf("%s{\"after\": \"%s\", \"module\":\n", dump->count ? ",\n" : "[\n", pass);
    else
        printf("%s after %s\n", dump->format == DUMP_DOT ? "//" : ";", pass);
    print_module(dump->format, module);
    if (dump->format == DUMP_JSON)
        printf("}");
    dump->count++;
}

void dump_begin(Dump *dump, const Module *module)
{
    if (dump->format == DUMP_HTML && has_changed(dump, module))
        html_add_stage(&dump->stages, "script", "as the script wrote it", module);
}

void dump_after(void *context, PassId pass, const Module *module)
{
    Dump *dump = context;
    const PassInfo *info = &pass_table[pass];
    if (dump->format == DUMP_HTML) {
        if (has_changed(dump, module))
            html_add_stage(&dump->stages, info->name, info->why, module);
    } else if (dump->when == DUMP_PASS && dump->pass == pass) {
        print_module(dump->format, module);
    } else if (dump->when == DUMP_ALL ||
               (dump->when == DUMP_CHANGED && has_changed(dump, module))) {
        print_stage(dump, info->name, module);
    }
}

void dump_end(Dump *dump, const Compile *compile, bool ok)
{
    if (dump->format == DUMP_HTML && dump->stages.length && ok) {
        Text page = {0};
        html_print(&page, dump->stages.bytes, compile->module->name, &compile->scripts);
        write_text(&page);
    } else if (dump->format == DUMP_JSON && dump->count) {
        printf("\n]\n");
    } else if (dump->when == DUMP_FINAL && ok && compile->module) {
        print_module(dump->format, compile->module);
    }
    text_free(&dump->last);
    text_free(&dump->stages);
}
