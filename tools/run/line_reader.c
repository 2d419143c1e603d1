// libedit where the program was built with it and stdin and stdout are a terminal, else getline.
//
// While a line is edited Ctrl-C is a key: as a signal it would reach a library that may or may not
// read on after it. History is kept in $XDG_STATE_HOME/graphc/history, read and written whole;
// where that cannot be, there is none beyond the session.
#include "tools/run/line_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef GRAPHC_LIBEDIT
#include <histedit.h>
#include <locale.h>
#endif

struct LineReader {
    bool terminal;
    const char *prompt;
    char *buffer;
    size_t capacity;
#ifdef GRAPHC_LIBEDIT
    EditLine *edit;
    History *history;
    Text history_path;
    bool interrupted;
#endif
};

#ifdef GRAPHC_LIBEDIT

enum { HISTORY_LINES_MAX = 1000 };

static char *give_prompt(EditLine *edit)
{
    LineReader *reader = NULL;
    el_get(edit, EL_CLIENTDATA, &reader);
    return (char *)(uintptr_t)reader->prompt;
}

static unsigned char take_interrupt(EditLine *edit, int key)
{
    (void)key;
    LineReader *reader = NULL;
    el_get(edit, EL_CLIENTDATA, &reader);
    reader->interrupted = true;
    fputs("^C\n", stdout);
    return CC_NEWLINE;
}

// Makes the folders above the file; that they are there already is no failure.
static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
}

static void find_history(LineReader *reader)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state && *state)
        text_print(&reader->history_path, "%s/graphc/history", state);
    else if (home && *home)
        text_print(&reader->history_path, "%s/.local/state/graphc/history", home);
    if (reader->history_path.length)
        make_folders(reader->history_path.bytes);
}

static void open_edit(LineReader *reader)
{
    HistEvent event;
    // Characters of several bytes can be edited only if the library knows the encoding.
    setlocale(LC_CTYPE, "");
    reader->edit = el_init("graphrun", stdin, stdout, stderr);
    reader->history = history_init();
    if (!reader->edit || !reader->history)
        return;
    history(reader->history, &event, H_SETSIZE, HISTORY_LINES_MAX);
    history(reader->history, &event, H_SETUNIQUE, 1);
    find_history(reader);
    if (reader->history_path.length)
        history(reader->history, &event, H_LOAD, reader->history_path.bytes);
    el_set(reader->edit, EL_CLIENTDATA, reader);
    el_set(reader->edit, EL_PROMPT_ESC, give_prompt, '\1');
    el_set(reader->edit, EL_EDITOR, "emacs");
    el_set(reader->edit, EL_HIST, history, reader->history);
    el_set(reader->edit, EL_SETTY, "-d", "-isig", NULL);
    el_set(reader->edit, EL_ADDFN, "take-interrupt", "leave the line", take_interrupt);
    el_set(reader->edit, EL_BIND, "^C", "take-interrupt", NULL);
    el_source(reader->edit, NULL);
}

static void close_edit(LineReader *reader)
{
    if (reader->history)
        history_end(reader->history);
    if (reader->edit)
        el_end(reader->edit);
    text_free(&reader->history_path);
}

static LineEvent edit_line(LineReader *reader, Text *line)
{
    HistEvent event;
    int length = 0;
    reader->interrupted = false;
    const char *typed = el_gets(reader->edit, &length);
    if (reader->interrupted)
        return LINE_INTERRUPT;
    if (!typed || length < 1)
        return LINE_END;
    text_append(line, typed, (size_t)length - (typed[length - 1] == '\n'));
    if (line->length) {
        history(reader->history, &event, H_ENTER, line->bytes);
        if (reader->history_path.length)
            history(reader->history, &event, H_SAVE, reader->history_path.bytes);
    }
    return LINE_READ;
}

static bool can_edit(const LineReader *reader)
{
    return reader->edit && reader->history;
}

#else

static void open_edit(LineReader *reader)
{
    (void)reader;
}

static void close_edit(LineReader *reader)
{
    (void)reader;
}

static LineEvent edit_line(LineReader *reader, Text *line)
{
    (void)reader, (void)line;
    return LINE_END;
}

static bool can_edit(const LineReader *reader)
{
    (void)reader;
    return false;
}

#endif

LineReader *line_reader_new(void)
{
    LineReader *reader = calloc(1, sizeof *reader);
    if (!reader) {
        fprintf(stderr, "error: out of memory\n");
        exit(1);
    }
    reader->terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    if (reader->terminal)
        open_edit(reader);
    return reader;
}

void line_reader_free(LineReader *reader)
{
    if (!reader)
        return;
    close_edit(reader);
    free(reader->buffer);
    free(reader);
}

bool line_reader_is_terminal(const LineReader *reader)
{
    return reader->terminal;
}

// The prompt without the marks that tell libedit what takes no room.
static void print_prompt(const char *prompt)
{
    for (; *prompt; prompt++)
        if (*prompt != '\1')
            putchar(*prompt);
    fflush(stdout);
}

LineEvent line_reader_read(LineReader *reader, const char *prompt, Text *line)
{
    text_append(line, "", 0);
    line->length = 0;
    line->bytes[0] = 0;
    reader->prompt = prompt;
    if (can_edit(reader))
        return edit_line(reader, line);
    if (reader->terminal)
        print_prompt(prompt);
    ssize_t length = getline(&reader->buffer, &reader->capacity, stdin);
    if (length < 0)
        return LINE_END;
    text_append(line, reader->buffer, (size_t)length - (reader->buffer[length - 1] == '\n'));
    return LINE_READ;
}
