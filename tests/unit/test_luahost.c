// The sandboxed Lua host: what scripts reach, its limits, its messages.
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "graph/base/luahost.h"
#include "tests/unit/run_suite.h"

#define MEBIBYTE ((size_t)1 << 20)

static Arena arena;
static Diag diag;

static void set_up(void)
{
    arena = (Arena){0};
    diag = (Diag){0};
}

static void tear_down(void)
{
    arena_free(&arena);
}

static LuaHost *new_host(LuaHostOptions options)
{
    LuaHost *host = lua_host_new(&options, &arena, &diag);
    ck_assert_msg(host != NULL, "%s", diag.message);
    return host;
}

static bool run(LuaHostOptions options, const char *text)
{
    LuaHost *host = new_host(options);
    bool fine = lua_host_run_text(host, "test.lua", text, strlen(text), &diag);
    lua_host_free(host);
    return fine;
}

static void expect_fine(const char *text)
{
    bool fine = run((LuaHostOptions){0}, text);
    ck_assert_msg(fine, "%s", diag.message);
}

static void expect_error(LuaHostOptions options, const char *text, const char *message)
{
    ck_assert(!run(options, text));
    ck_assert_str_eq(diag.message, message);
}

START_TEST(scripts_reach_nothing_outside)
{
    expect_fine(
        "for _, name in ipairs {'io', 'os', 'debug', 'package', 'coroutine', 'load', 'loadfile',\n"
        "    'loadstring', 'dofile', 'collectgarbage', 'next', 'warn'} do\n"
        "    assert(_G[name] == nil, name)\n"
        "end\n"
        "assert(not string.dump and not math.random and not math.randomseed)");
}
END_TEST

START_TEST(bytecode_is_refused)
{
    LuaHost *host = new_host((LuaHostOptions){0});
    ck_assert(!lua_host_run_text(host, "test.lua", "\x1bLua", 4, &diag));
    ck_assert_str_eq(diag.message,
                     "test.lua:1: error: this is Lua bytecode; only source text is run");
    lua_host_free(host);
}
END_TEST

START_TEST(sorted_pairs)
{
    expect_fine(
        "local t = {b = 1, a = 1, [3] = 1, [1] = 1, [2.5] = 1, [-7] = 1, ['10'] = 1, aa = 1,\n"
        "           [true] = 1, [false] = 1, [1 << 62] = 1, [(1 << 62) + 1] = 1}\n"
        "local seen = {}\n"
        "for key, value in pairs(t) do seen[#seen + 1] = tostring(key); assert(value == 1) end\n"
        "local order = table.concat(seen, ' ')\n"
        "assert(order == '-7 1 2.5 3 4611686018427387904 4611686018427387905 10 a aa b ' ..\n"
        "       'false true', order)");
}
END_TEST

START_TEST(pairs_passes_over_removed_keys)
{
    expect_fine("local t, seen = {a = 1, b = 2, c = 3}, ''\n"
                "for key in pairs(t) do t.b = nil; seen = seen .. key end\n"
                "assert(seen == 'ac', seen)");
}
END_TEST

static const char *const swallowing[] = {
    "while true do pcall(function() while true do end end) end",
    "while true do xpcall(function() while true do end end, function() while true do end end) end",
    "local function f() while true do pcall(f) end end f()",
    ("local t <close> = setmetatable({}, {__close = function() repeat until false end}) "
     "repeat until false"),
    "while true do table.sort({3, 2, 1}, function() while true do end end) end",
    "while true do pcall(string.gsub, 'x', 'x', function() while true do end end) end",
};

START_TEST(no_script_swallows_the_instruction_limit)
{
    expect_error(
        (LuaHostOptions){.instructions = 1000000}, swallowing[_i],
        "test.lua:1: error: instruction limit passed: a script may execute 1000000 (an endless "
        "loop?)");
}
END_TEST

static const char *const swallowing_memory[] = {
    "while true do pcall(string.rep, 'x', 1e9) end",
    "while true do pcall(function() local t = {} for i = 1, 1e9 do t[i] = i end end) end",
    "local t = {} while true do pcall(function() t[#t + 1] = ('x'):rep(1e5 + #t) end) end",
    "while true do xpcall(string.rep, function() return ('y'):rep(1e9) end, 'x', 1e9) end",
    "local s = 'x' while true do pcall(function() s = s .. s end) end",
};

START_TEST(no_script_swallows_the_memory_limit)
{
    expect_error((LuaHostOptions){.memory_bytes = 4 * MEBIBYTE}, swallowing_memory[_i],
                 "test.lua:1: error: memory limit passed: a script may use 4 MiB");
}
END_TEST

START_TEST(nothing_runs_after_a_limit)
{
    LuaHost *host = new_host((LuaHostOptions){.instructions = 10000});
    const char *loop = "while true do end", *fine = "local x = 1";
    ck_assert(!lua_host_run_text(host, "test.lua", loop, strlen(loop), &diag));
    diag = (Diag){0};
    ck_assert(!lua_host_run_text(host, "test.lua", fine, strlen(fine), &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "instruction limit"));
    lua_host_free(host);
}
END_TEST

START_TEST(instructions_are_counted_for_each_call)
{
    LuaHost *host = new_host((LuaHostOptions){.instructions = 100000});
    const char *text = "for i = 1, 50000 do end";
    for (int i = 0; i < 5; i++)
        ck_assert_msg(lua_host_run_text(host, "test.lua", text, strlen(text), &diag), "%s",
                      diag.message);
    lua_host_free(host);
}
END_TEST

START_TEST(garbage_is_not_counted_as_memory)
{
    bool fine = run((LuaHostOptions){.memory_bytes = 4 * MEBIBYTE},
                    "for i = 1, 20000 do local s = ('x'):rep(10000 + i) end");
    ck_assert_msg(fine, "%s", diag.message);
}
END_TEST

START_TEST(time_limit_ends_slow_instructions)
{
    expect_error((LuaHostOptions){.seconds = 1, .memory_bytes = 64 * MEBIBYTE},
                 "local s = ('x'):rep(1 << 24)\nwhile true do local t = s:reverse() end",
                 "test.lua:2: error: time limit passed: a script may take 1 s of processor time");
}
END_TEST

START_TEST(repeating_nothing_ends)
{
    expect_fine("assert((''):rep(1 << 60) == '' and ('ab'):rep(2, '-') == 'ab-ab')");
}
END_TEST

START_TEST(everyday_patterns_are_allowed)
{
    expect_fine("assert(('blk.12.attn_q.weight'):match('^blk%.(%d+)%.(.-)%.weight$') == '12')\n"
                "assert(('a b c'):gsub('[^%]*+-]?b', 'x') == 'ax c')\n"
                "for word in ('some words'):gmatch('%a+') do assert(#word > 3) end");
}
END_TEST

START_TEST(xpcall_and_pcall_return_like_luas)
{
    expect_fine("local function values(...) return ... end\n"
                "assert(select('#', pcall(values, 1, nil, 3)) == 4)\n"
                "local ok, a, b = xpcall(values, print, 1, 2)\n"
                "assert(ok and a == 1 and b == 2)\n"
                "local failed, text = xpcall(error, function(m) return m .. '!' end, 'no')\n"
                "assert(not failed and text == 'no!')\n"
                "failed, text = pcall(error, 'no', 0)\n"
                "assert(failed == false and text == 'no')");
}
END_TEST

START_TEST(long_paths_come_out_whole)
{
    LuaHost *host = new_host((LuaHostOptions){0});
    const char *path =
        "a/folder/whose/name/goes/on/and/on/and/on/until/lua/would/cut/it/short/model.lua";
    const char *text = "\nlocal x = nil + 1";
    ck_assert(!lua_host_run_text(host, path, text, strlen(text), &diag));
    ck_assert_int_eq(strncmp(diag.message, path, strlen(path)), 0);
    ck_assert_str_eq(diag.message + strlen(path),
                     ":2: error: attempt to perform arithmetic on a nil value");
    lua_host_free(host);
}
END_TEST

START_TEST(required_files_are_recorded_once)
{
    const char *registry[] = {"tests/nowhere", "tests/errors/registry"};
    LuaHost *host = new_host((LuaHostOptions){.registry = registry, .registry_count = 2});
    const char *text = "local a, b = require 'modules.blocks', require 'modules.blocks'\n"
                       "assert(a == b and a.double(4) == 8)";
    ck_assert_msg(lua_host_run_text(host, "test.lua", text, strlen(text), &diag), "%s",
                  diag.message);
    ck_assert_int_eq(lua_host_files(host)->count, 1);
    ck_assert_str_eq(lua_host_files(host)->items[0], "tests/errors/registry/modules.blocks.lua");
    lua_host_free(host);
}
END_TEST

START_TEST(files_that_are_no_scripts_are_refused)
{
    LuaHost *host = new_host((LuaHostOptions){0});
    ck_assert(!lua_host_run_file(host, "tests/nowhere.lua", &diag));
    ck_assert_str_eq(diag.message,
                     "tests/nowhere.lua: error: cannot be opened: No such file or directory");
    diag = (Diag){0};
    ck_assert(!lua_host_run_file(host, "tests", &diag));
    ck_assert_str_eq(diag.message, "tests: error: not a regular file; a Lua script was expected");
    lua_host_free(host);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("luahost");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, scripts_reach_nothing_outside);
    tcase_add_test(tests, bytecode_is_refused);
    tcase_add_test(tests, sorted_pairs);
    tcase_add_test(tests, pairs_passes_over_removed_keys);
    tcase_add_loop_test(tests, no_script_swallows_the_instruction_limit, 0,
                        (int)(sizeof swallowing / sizeof *swallowing));
    tcase_add_loop_test(tests, no_script_swallows_the_memory_limit, 0,
                        (int)(sizeof swallowing_memory / sizeof *swallowing_memory));
    tcase_add_test(tests, nothing_runs_after_a_limit);
    tcase_add_test(tests, instructions_are_counted_for_each_call);
    tcase_add_test(tests, garbage_is_not_counted_as_memory);
    tcase_add_test(tests, time_limit_ends_slow_instructions);
    tcase_add_test(tests, repeating_nothing_ends);
    tcase_add_test(tests, everyday_patterns_are_allowed);
    tcase_add_test(tests, xpcall_and_pcall_return_like_luas);
    tcase_add_test(tests, long_paths_come_out_whole);
    tcase_add_test(tests, required_files_are_recorded_once);
    tcase_add_test(tests, files_that_are_no_scripts_are_refused);
    return run_cases("luahost", tests);
}
