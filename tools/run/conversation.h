// The messages of a conversation, the template that makes text of them, and its tokens.
#ifndef TOOLS_RUN_CONVERSATION_H
#define TOOLS_RUN_CONVERSATION_H

#include <cjson/cJSON.h>

#include "runtime/text/chat_template.h"
#include "tools/run/run.h"

typedef struct Conversation {
    const Run *run;
    cJSON *messages; // an array of objects with "role" and "content"
    ChatTemplate *chat;
    Text tools;
    const char *turn_end; // what ends a turn where no token of the model says so, else NULL
} Conversation;

// The template of the options or the model, or ChatML with a note on stderr; the system's message
// if there is one. Close after a failure too.
bool conversation_open(Conversation *conversation, const Run *run, Diag *diag);
void conversation_close(Conversation *conversation);

bool conversation_add(Conversation *conversation, const char *role, const char *content,
                      Diag *diag);
// Takes the last message away again.
void conversation_drop_last(Conversation *conversation);
// Sets, replaces or, if the text is empty, removes the system's message.
bool conversation_set_system(Conversation *conversation, const char *content, Diag *diag);
// Replaces the messages by those of a JSON file; they are as they were after a failure.
bool conversation_load(Conversation *conversation, const char *path, Diag *diag);
bool conversation_save(const Conversation *conversation, const char *path, Diag *diag);

// Appends the text up to where the assistant's reply begins.
bool conversation_render(const Conversation *conversation, Text *out, Diag *diag);
// Appends the ids of rendered text, with the BOS token that the model wants and the text has not.
bool conversation_tokens(const Conversation *conversation, const Text *text, TokenList *out,
                         Diag *diag);

#endif
