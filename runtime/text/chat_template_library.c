#include "runtime/text/chat_template_library.h"

#include <string.h>

#include <lauxlib.h>
#include <utf8proc.h>

enum { FORMAT_BYTES_MAX = 256, TIME_BYTES_MAX = 4096 };

static char time_key;

// Maps every character of a valid UTF-8 text; `sharp` is what becomes of U+00DF, the one letter of
// Latin text whose capital is two.
static int map_text(lua_State *lua, utf8proc_int32_t (*map)(utf8proc_int32_t), const char *sharp)
{
    size_t length;
    const char *text = luaL_checklstring(lua, 1, &length);
    luaL_Buffer out;
    luaL_buffinit(lua, &out);
    for (size_t at = 0; at < length;) {
        utf8proc_int32_t code;
        utf8proc_uint8_t bytes[4];
        utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                                 (utf8proc_ssize_t)(length - at), &code);
        if (used < 1)
            return luaL_error(lua, "text that is not UTF-8");
        at += (size_t)used;
        if (code == 0xdf)
            luaL_addstring(&out, sharp);
        else
            luaL_addlstring(&out, (const char *)bytes,
                            (size_t)utf8proc_encode_char(map(code), bytes));
    }
    luaL_pushresult(&out);
    return 1;
}

static int unicode_upper(lua_State *lua)
{
    return map_text(lua, utf8proc_toupper, "SS");
}

static int unicode_lower(lua_State *lua)
{
    return map_text(lua, utf8proc_tolower, "\xc3\x9f");
}

static int unicode_category(lua_State *lua)
{
    lua_pushstring(lua, utf8proc_category_string((utf8proc_int32_t)luaL_checkinteger(lua, 1)));
    return 1;
}

// Whether repr() shows the character as it is.
static int unicode_printable(lua_State *lua)
{
    utf8proc_int32_t code = (utf8proc_int32_t)luaL_checkinteger(lua, 1);
    const char *category = utf8proc_category_string(code);
    lua_pushboolean(lua, code == ' ' || (*category != 'C' && *category != 'Z'));
    return 1;
}

static int format_time(lua_State *lua)
{
    size_t length;
    const char *given = luaL_checklstring(lua, 1, &length);
    if (length >= FORMAT_BYTES_MAX || strlen(given) != length)
        return luaL_error(lua, "a format of time is too long");
    // With a mark at its end no result is empty, so that 0 means that there was no room.
    const char *format = lua_pushfstring(lua, "%s.", given);
    lua_rawgetp(lua, LUA_REGISTRYINDEX, &time_key);
    time_t now = (time_t)lua_tointeger(lua, -1);
    struct tm local;
    char text[TIME_BYTES_MAX];
    if (!localtime_r(&now, &local))
        return luaL_error(lua, "the time cannot be told");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    size_t written = strftime(text, sizeof text, format, &local);
#pragma GCC diagnostic pop
    if (!written)
        return luaL_error(lua, "a format of time gives too long a text");
    lua_pushlstring(lua, text, written - 1);
    return 1;
}

void chat_template_set_time(lua_State *lua, time_t now)
{
    lua_pushinteger(lua, (lua_Integer)now);
    lua_rawsetp(lua, LUA_REGISTRYINDEX, &time_key);
}

void chat_template_open_library(lua_State *lua)
{
    lua_register(lua, "unicode_upper", unicode_upper);
    lua_register(lua, "unicode_lower", unicode_lower);
    lua_register(lua, "unicode_category", unicode_category);
    lua_register(lua, "unicode_printable", unicode_printable);
    lua_register(lua, "format_time", format_time);
}
