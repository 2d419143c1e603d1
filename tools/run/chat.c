// A conversation with a person: a line is a turn, or a command if it begins with a slash.
//
// Every turn renders the whole conversation and tokenises it; the session keeps the tokens that are
// the same from the beginning on and is fed the rest. So a template may change what it says of
// earlier turns, and /load, /system and /reset need nothing of their own.
//
// What cannot be answered (a template that refuses, a context that is too small) is said, and the
// turn is taken back: nothing is cut off silently.
#include "tools/run/chat.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/run/profile.h"

// --- how it looks

static bool wants_colours(void)
{
    const char *none = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return !(none && *none) && terminal && *terminal && strcmp(terminal, "dumb") != 0 &&
           isatty(STDOUT_FILENO) && isatty(STDERR_FILENO);
}

void chat_note(const Chat *chat, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs(chat->colours ? "\033[2m" : "", stderr);
    vfprintf(stderr, format, arguments);
    fputs(chat->colours ? "\033[0m\n" : "\n", stderr);
    va_end(arguments);
}

static void report(const Chat *chat, const Diag *diag)
{
    fprintf(stderr, chat->colours ? "\033[31m%s\033[0m\n" : "%s\n", diag->message);
}

// --- a turn

// Makes the session hold the longest beginning that it has of these tokens, but never all: the last
// one must be fed for its logits.
static int64_t keep_beginning(Chat *chat, const TokenList *ids)
{
    int64_t same = 0;
    while (same < chat->held.count && same < ids->count - 1 &&
           chat->held.ids[same] == ids->ids[same])
        same++;
    session_truncate(chat->reply.session, chat->reply.sequence, same);
    chat->held.count = same;
    return same;
}

static bool hold(Chat *chat, const int32_t *ids, int64_t count, Diag *diag)
{
    for (int64_t i = 0; i < count; i++)
        if (!token_list_push(&chat->held, ids[i], diag))
            return false;
    return true;
}

static bool check_room(const Chat *chat, const TokenList *ids, Diag *diag)
{
    int64_t context = session_context(chat->reply.session);
    if (!ids->count)
        return diag_fail(diag, (Where){0}, "the template makes an empty prompt of this");
    if (ids->count < context)
        return true;
    return diag_fail(diag, (Where){0},
                     "the conversation has %" PRId64 " tokens now, the context holds %" PRId64
                     ": /reset, or begin again with a larger -c",
                     ids->count, context);
}

static bool make_reply(Chat *chat, const TokenList *ids, Diag *diag)
{
    Reply *reply = &chat->reply;
    int64_t same = keep_beginning(chat, ids);
    if (!reply_feed(reply, ids->ids + same, ids->count - same, diag) ||
        !hold(chat, ids->ids + same, ids->count - same, diag))
        return false;
    bool good = reply_make(reply, diag);
    // The last token that was drawn may not have been fed.
    int64_t fed = session_length(reply->session, reply->sequence) - chat->held.count;
    if (!hold(chat, reply->ids.ids, fed, diag))
        return false;
    puts("");
    fflush(stdout);
    return good;
}

static void tell_end(Chat *chat)
{
    if (chat->options.stats)
        chat_note(chat, "%" PRId64 " tokens held", chat->held.count);
    if (run_interrupted)
        chat_note(chat, "stopped; what was said stays in the conversation");
    else if (strcmp(chat->reply.finish, "context") == 0)
        chat_note(chat,
                  "the context of %" PRId64
                  " tokens is full: /reset, or begin again with a larger -c",
                  session_context(chat->reply.session));
}

static bool answer(Chat *chat, TokenList *ids, Text *text, Diag *diag)
{
    const Conversation *conversation = &chat->conversation;
    return conversation_render(conversation, text, diag) &&
           conversation_tokens(conversation, text, ids, diag) && check_room(chat, ids, diag) &&
           make_reply(chat, ids, diag);
}

static void take_turn(Chat *chat, const char *said, Diag *diag)
{
    TokenList ids = {0};
    Text text = {0};
    if (!conversation_add(&chat->conversation, "user", said, diag))
        return;
    run_catch_interrupt();
    if (answer(chat, &ids, &text, diag)) {
        tell_end(chat);
        conversation_add(&chat->conversation, "assistant",
                         chat->reply.shown.bytes ? chat->reply.shown.bytes : "", diag);
    } else {
        conversation_drop_last(&chat->conversation);
    }
    signal(SIGINT, SIG_DFL);
    token_list_free(&ids);
    text_free(&text);
}

// --- lines

// A text that begins with """ goes on over lines up to one that ends with it.
static LineEvent read_rest(Chat *chat, Text *line)
{
    static const char mark[] = "\"\"\"";
    size_t size = strlen(mark);
    if (strncmp(line->bytes, mark, size) != 0)
        return LINE_READ;
    Text whole = {0}, more = {0};
    LineEvent event = LINE_READ;
    text_append(&whole, line->bytes + size, line->length - size);
    while (whole.length < size || strcmp(whole.bytes + whole.length - size, mark) != 0) {
        event = line_reader_read(chat->lines, "... ", &more);
        if (event != LINE_READ)
            break;
        text_print(&whole, "\n%s", more.bytes);
    }
    if (event == LINE_READ) {
        whole.length -= size;
        whole.bytes[whole.length] = 0;
    }
    text_free(&more);
    text_free(line);
    *line = whole;
    return event;
}

static LineEvent read_turn(Chat *chat, Text *line)
{
    const char *prompt = chat->colours ? "\1\033[1;32m\1>>> \1\033[0m\1" : ">>> ";
    LineEvent event = line_reader_read(chat->lines, prompt, line);
    return event == LINE_READ ? read_rest(chat, line) : event;
}

static void take_line(Chat *chat, Text *line)
{
    Diag diag = {0};
    if (line->bytes[0] == '/')
        chat_command(chat, line->bytes, &diag);
    else if (line->bytes[strspn(line->bytes, " \t\r\n")])
        take_turn(chat, line->bytes, &diag);
    if (diag.failed)
        report(chat, &diag);
}

// Until /exit, the end of input or two Ctrl-C, one of which may have stopped a reply.
static int converse(Chat *chat)
{
    Text line = {0};
    bool interrupted = false;
    int status = 0;
    while (!chat->leaving && !ferror(stdout)) {
        LineEvent event = read_turn(chat, &line);
        if (event == LINE_END)
            break;
        if (event == LINE_INTERRUPT && interrupted) {
            status = 130;
            break;
        }
        if (event == LINE_INTERRUPT)
            chat_note(chat, "Ctrl-C once more, or /exit, leaves");
        run_interrupted = 0;
        if (event == LINE_READ)
            take_line(chat, &line);
        interrupted = event == LINE_INTERRUPT || run_interrupted;
    }
    if (status == 0 && !chat->leaving && line_reader_is_terminal(chat->lines))
        puts("");
    text_free(&line);
    return status;
}

static bool open_chat(Chat *chat, Run *run, Diag *diag)
{
    chat->run = *run;
    chat->options = *run->options;
    chat->run.options = &chat->options;
    chat->colours = wants_colours();
    if (!run_need_tokenizer(run, diag) ||
        !conversation_open(&chat->conversation, &chat->run, diag) ||
        !reply_open(&chat->reply, &chat->run, chat->conversation.turn_end, diag))
        return false;
    signal(SIGINT, SIG_DFL);
    chat->lines = line_reader_new();
    if (line_reader_is_terminal(chat->lines))
        chat_note(chat, "a context of %" PRId64 " tokens; /help lists the commands, Ctrl-D leaves",
                  session_context(chat->reply.session));
    return true;
}

int run_chat(Run *run, Diag *diag)
{
    Chat chat = {0};
    int status = -1;
    if (open_chat(&chat, run, diag))
        status = converse(&chat);
    if (status == 0 && !run_profile_report(run->profile, chat.reply.session, diag))
        status = -1;
    line_reader_free(chat.lines);
    conversation_close(&chat.conversation);
    reply_close(&chat.reply);
    token_list_free(&chat.held);
    arena_free(&chat.values);
    return status;
}
