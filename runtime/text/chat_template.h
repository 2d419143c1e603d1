// Chat templates: a conversation to the text that a model was trained to read, as the model's own
// Jinja template says. What Jinja means is defined by Python's (3.1, sandboxed, with trim_blocks,
// lstrip_blocks, break and continue, raise_exception, strftime_now, tojson without escaping).
//
// The engine is written in Lua (template/) and runs in the sandbox of luahost.h: templates and
// conversations are hostile, the worst they do is to end with an error.
#ifndef RUNTIME_TEXT_CHAT_TEMPLATE_H
#define RUNTIME_TEXT_CHAT_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "graph/base/diag.h"
#include "graph/base/text.h"

typedef struct ChatTemplate ChatTemplate;

typedef struct ChatInput {
    const char *messages;  // JSON: an array of objects with "role" and "content"
    const char *tools;     // JSON: an array; NULL: none
    const char *variables; // JSON: an object, more variables for the template; NULL: none
    bool add_generation_prompt;
    const char *bos, *eos; // the text of these tokens, "" where there is none
    time_t now;            // what strftime_now tells, in local time; 0: the clock's
} ChatInput;

// The template of ChatML, for models that bring none.
extern const char chat_template_chatml[];

// Messages call the template `name`. The source need not outlive the call. NULL with a message of
// the line where the source is no template.
ChatTemplate *chat_template_new(const char *name, const char *source, size_t length, Diag *diag);
// NULL is fine.
void chat_template_free(ChatTemplate *chat);

// Appends the rendered text; false with a message when the template or the JSON is at fault. The
// text of raise_exception is the whole text of the message. Not for two threads at once.
bool chat_template_render(ChatTemplate *chat, const ChatInput *input, Text *out, Diag *diag);

#endif
