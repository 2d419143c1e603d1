// The commands of a chat: one row each, which is all that /help knows.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/run/chat.h"

static const char sampling[] = "Generate"; // the group of options that /set changes

typedef struct Command {
    const char *name, *aliases, *argument, *help;
    void (*run)(Chat *chat, char *argument, Diag *diag);
} Command;

static void show_help(Chat *chat, char *argument, Diag *diag);

static void set_system(Chat *chat, char *argument, Diag *diag)
{
    if (conversation_set_system(&chat->conversation, argument, diag))
        chat_note(chat, *argument ? "the system's message is set" : "no system's message");
}

static void reset(Chat *chat, char *argument, Diag *diag)
{
    (void)argument, (void)diag;
    cJSON *messages = chat->conversation.messages;
    const cJSON *first = cJSON_GetArrayItem(messages, 0);
    const char *role = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(first, "role"));
    int kept = role && strcmp(role, "system") == 0;
    for (int count = cJSON_GetArraySize(messages); count > kept; count--)
        conversation_drop_last(&chat->conversation);
    chat_note(chat, kept ? "a new conversation; the system's message stays" : "a new conversation");
}

static bool need_argument(const char *argument, const char *what, Diag *diag)
{
    return *argument ||
           diag_fail(diag, (Where){0}, "%s is missing; /help lists the commands", what);
}

static void save(Chat *chat, char *argument, Diag *diag)
{
    if (need_argument(argument, "the file's name", diag) &&
        conversation_save(&chat->conversation, argument, diag))
        chat_note(chat, "%d messages written to %s",
                  cJSON_GetArraySize(chat->conversation.messages), argument);
}

static void load(Chat *chat, char *argument, Diag *diag)
{
    if (need_argument(argument, "the file's name", diag) &&
        conversation_load(&chat->conversation, argument, diag))
        chat_note(chat, "%d messages read from %s", cJSON_GetArraySize(chat->conversation.messages),
                  argument);
}

static void set(Chat *chat, char *argument, Diag *diag)
{
    if (!need_argument(argument, "an option's name", diag))
        return;
    char *name = argument, *value = argument + strcspn(argument, " \t=");
    if (*value)
        *value++ = 0;
    value += strspn(value, " \t=");
    Options before = chat->options;
    const char *kept = arena_copy_text(&chat->values, value, strlen(value));
    if (options_set(PROGRAM_GRAPHRUN, sampling, name, kept, &chat->options, diag) &&
        reply_take_options(&chat->reply, diag))
        return;
    chat->options = before;
}

static void show(Chat *chat, char *argument, Diag *diag)
{
    (void)argument, (void)diag;
    Text text = {0};
    options_print_group(PROGRAM_GRAPHRUN, sampling, &chat->options, &text);
    chat_note(chat, "set:%s", text.length ? text.bytes : " nothing, all as by default");
    chat_note(chat, "%d messages; %" PRId64 " of %" PRId64 " tokens of context hold them",
              cJSON_GetArraySize(chat->conversation.messages),
              session_length(chat->reply.session, chat->reply.sequence),
              session_context(chat->reply.session));
    text_free(&text);
}

static void leave(Chat *chat, char *argument, Diag *diag)
{
    (void)argument, (void)diag;
    chat->leaving = true;
}

static const Command commands[] = {
    {"/help", "/?", "", "this list", show_help},
    {"/system", "", "TEXT", "replace the system's message (without TEXT: remove it)", set_system},
    {"/reset", "/clear", "", "begin anew; the system's message stays", reset},
    {"/save", "", "FILE", "write the messages as JSON", save},
    {"/load", "", "FILE", "go on with the messages of a file", load},
    {"/set", "", "NAME VALUE", "an option of graphrun's group Generate: temp, top-k, stop …", set},
    {"/show", "", "", "what is set, how full the context is", show},
    {"/exit", "/quit /bye", "", "leave (also Ctrl-D)", leave},
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static void show_help(Chat *chat, char *argument, Diag *diag)
{
    (void)argument, (void)diag;
    for (int i = 0; i < COMMAND_COUNT; i++)
        chat_note(chat, "  %-8s %-11s %-11s %s", commands[i].name, commands[i].argument,
                  commands[i].aliases, commands[i].help);
    chat_note(chat,
              "A text of several lines stands between \"\"\" and \"\"\". Ctrl-C stops a reply; "
              "a second one leaves.");
}

// Whether the word is the command's name or one of its aliases.
static bool is_named(const Command *command, const char *word, size_t length)
{
    if (strlen(command->name) == length && memcmp(command->name, word, length) == 0)
        return true;
    for (const char *alias = command->aliases; *alias;) {
        size_t size = strcspn(alias, " ");
        if (size == length && memcmp(alias, word, length) == 0)
            return true;
        alias += size + strspn(alias + size, " ");
    }
    return false;
}

void chat_command(Chat *chat, char *line, Diag *diag)
{
    size_t length = strcspn(line, " \t");
    char *argument = line + length + strspn(line + length, " \t");
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (is_named(&commands[i], line, length)) {
            commands[i].run(chat, argument, diag);
            return;
        }
    diag_fail(diag, (Where){0}, "there is no command %.*s; /help lists them", (int)length, line);
}
