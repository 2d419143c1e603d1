// Lines that a person types: with editing and history on a terminal, as they come from a pipe.
#ifndef TOOLS_RUN_LINE_READER_H
#define TOOLS_RUN_LINE_READER_H

#include <stdbool.h>

#include "graph/base/text.h"

typedef struct LineReader LineReader;

typedef enum LineEvent { LINE_READ, LINE_END, LINE_INTERRUPT } LineEvent;

// Ends the program when memory runs out, as Text does.
LineReader *line_reader_new(void);
void line_reader_free(LineReader *reader);

// Replaces *line by the next line, without its end. The prompt is shown on a terminal alone.
// LINE_INTERRUPT: Ctrl-C was typed while editing.
LineEvent line_reader_read(LineReader *reader, const char *prompt, Text *line);
// Whether a person is at the other end.
bool line_reader_is_terminal(const LineReader *reader);

#endif
