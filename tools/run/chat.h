// What the conversation with a person (chat.c) and its commands (chat_commands.c) share.
#ifndef TOOLS_RUN_CHAT_H
#define TOOLS_RUN_CHAT_H

#include "tools/run/conversation.h"
#include "tools/run/line_reader.h"
#include "tools/run/reply.h"

typedef struct Chat {
    Run run;         // a copy whose options are the ones below
    Options options; // /set changes them
    Arena values;    // what they were set to
    Conversation conversation;
    Reply reply;
    TokenList held; // the tokens that the session holds
    LineReader *lines;
    bool colours, leaving;
} Chat;

// Runs "/name argument"; what is wrong with it goes to the Diag.
void chat_command(Chat *chat, char *line, Diag *diag);
// A line about the chat, not of it, on stderr.
void chat_note(const Chat *chat, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
