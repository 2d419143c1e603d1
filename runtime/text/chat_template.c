// The engine's Lua files are in the program. A template is compiled once into a tree that stays in
// its Lua state; rendering passes JSON text in and takes text out.
//
// The engine catches the errors of templates itself, so a call into the state fails only where a
// limit was passed. The state is of no use then: it is closed, and the next rendering begins with a
// new one.
#include "runtime/text/chat_template.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "graph/base/luahost.h"
#include "runtime/text/chat_template_library.h"

// .incbin, as html.c has it: any assembler knows it, and nothing needs to be installed.
#define MODULE(name)                                                                               \
    __asm__(".pushsection .rodata\n"                                                               \
            "template_" #name ": .incbin \"runtime/text/template/" #name ".lua\"\n"                \
            ".byte 0\n"                                                                            \
            ".popsection\n");                                                                      \
    extern const char template_##name[];
#include "runtime/text/template/modules.def"
#undef MODULE

const char chat_template_chatml[] =
    "{% for message in messages %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

struct ChatTemplate {
    Arena arena;   // of the template
    Arena running; // of the host
    LuaHost *host; // NULL after a limit
    const char *name, *source;
    size_t source_bytes;
    int tree, state; // references into the registry
};

// What one call into the state takes and gives.
typedef struct Call {
    ChatTemplate *chat;
    const ChatInput *input;
    Text *out;
    bool good;
    int line;
    char message[900];
} Call;

// Takes what the engine returned: a result below two values, or nil, message, line.
static void take_result(lua_State *lua, Call *call)
{
    call->good = !lua_isnil(lua, -3);
    if (call->good)
        return;
    const char *message = lua_tostring(lua, -2);
    strncpy(call->message, message ? message : "", sizeof call->message - 1);
    call->line = (int)lua_tointeger(lua, -1);
}

// A function or value of the engine.
static void push_of_engine(lua_State *lua, const char *name)
{
    lua_getglobal(lua, "jinja");
    lua_getfield(lua, -1, name);
    lua_remove(lua, -2);
}

static int open_library(lua_State *lua)
{
    chat_template_open_library(lua);
    return 0;
}

static int compile_source(lua_State *lua)
{
    Call *call = lua_touserdata(lua, 1);
    push_of_engine(lua, "state");
    call->chat->state = luaL_ref(lua, LUA_REGISTRYINDEX);
    push_of_engine(lua, "compile");
    lua_pushlstring(lua, call->chat->source, call->chat->source_bytes);
    lua_call(lua, 1, 3);
    take_result(lua, call);
    lua_settop(lua, -3);
    call->chat->tree = luaL_ref(lua, LUA_REGISTRYINDEX);
    return 0;
}

static int render_input(lua_State *lua)
{
    Call *call = lua_touserdata(lua, 1);
    const ChatInput *input = call->input;
    chat_template_set_time(lua, input->now ? input->now : time(NULL));
    push_of_engine(lua, "render");
    lua_rawgeti(lua, LUA_REGISTRYINDEX, call->chat->tree);
    lua_pushstring(lua, input->messages);
    lua_pushstring(lua, input->tools);
    lua_pushstring(lua, input->variables);
    lua_pushboolean(lua, input->add_generation_prompt);
    lua_pushstring(lua, input->bos);
    lua_pushstring(lua, input->eos);
    lua_call(lua, 7, 3);
    take_result(lua, call);
    size_t length = 0;
    const char *text = call->good ? lua_tolstring(lua, -3, &length) : NULL;
    if (text)
        text_append(call->out, text, length);
    return 0;
}

static void close_state(ChatTemplate *chat)
{
    lua_host_free(chat->host);
    chat->host = NULL;
    arena_free(&chat->running);
}

// A limit was passed: says so of the template's line, of which the state still knows.
static bool fail_limit(const Call *call, const Diag *limit, Diag *diag)
{
    ChatTemplate *chat = call->chat;
    lua_State *lua = lua_host_state(chat->host);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, chat->state);
    int line = 0;
    if (lua_istable(lua, -1) && lua_rawgeti(lua, -1, 1) == LUA_TNUMBER)
        line = (int)lua_tointeger(lua, -1);
    const char *text = strstr(limit->message, "error: ");
    diag_fail(diag, (Where){chat->name, line, 0}, "%s",
              text ? text + strlen("error: ") : limit->message);
    close_state(chat);
    return false;
}

static bool call_state(Call *call, lua_CFunction function, Diag *diag)
{
    Diag limit = {0};
    if (!lua_host_call(call->chat->host, function, call, &limit))
        return fail_limit(call, &limit, diag);
    if (call->good)
        return true;
    return diag_fail(diag, (Where){call->chat->name, call->line, 0}, "%s", call->message);
}

static bool run_modules(ChatTemplate *chat, Diag *diag)
{
    static const struct {
        const char *name, *text;
    } modules[] = {
#define MODULE(name) {#name ".lua", template_##name},
#include "runtime/text/template/modules.def"
#undef MODULE
    };
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        if (!lua_host_run_text(chat->host, modules[i].name, modules[i].text,
                               strlen(modules[i].text), diag))
            return false;
    return true;
}

// A state with the engine and the tree in it. False with a message, and then there is none.
static bool open_state(ChatTemplate *chat, Diag *diag)
{
    Call call = {.chat = chat};
    chat->host = lua_host_new(&(LuaHostOptions){0}, &chat->running, diag);
    if (chat->host && lua_host_call(chat->host, open_library, NULL, diag) &&
        run_modules(chat, diag) && call_state(&call, compile_source, diag))
        return true;
    close_state(chat);
    return false;
}

ChatTemplate *chat_template_new(const char *name, const char *source, size_t length, Diag *diag)
{
    Arena arena = {0};
    ChatTemplate *chat = ARENA_NEW(&arena, ChatTemplate);
    chat->name = arena_copy_text(&arena, name, strlen(name));
    chat->source = arena_copy_text(&arena, source, length);
    chat->source_bytes = length;
    chat->arena = arena;
    if (open_state(chat, diag))
        return chat;
    chat_template_free(chat);
    return NULL;
}

void chat_template_free(ChatTemplate *chat)
{
    if (!chat)
        return;
    close_state(chat);
    Arena arena = chat->arena;
    arena_free(&arena);
}

bool chat_template_render(ChatTemplate *chat, const ChatInput *input, Text *out, Diag *diag)
{
    Call call = {.chat = chat, .input = input, .out = out};
    return (chat->host || open_state(chat, diag)) && call_state(&call, render_input, diag);
}
