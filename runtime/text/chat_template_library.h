// The functions in C that the template engine calls, as globals of its Lua state: what Unicode says
// of characters, and the time.
#ifndef RUNTIME_TEXT_CHAT_TEMPLATE_LIBRARY_H
#define RUNTIME_TEXT_CHAT_TEMPLATE_LIBRARY_H

#include <time.h>

#include <lua.h>

// To be called inside a protected call.
void chat_template_open_library(lua_State *lua);
// The time that format_time tells from now on.
void chat_template_set_time(lua_State *lua, time_t now);

#endif
