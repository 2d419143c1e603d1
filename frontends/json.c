// cJSON builds the tree; what stands here is what it does not check: the exact grammar (it takes
// "-01", "2.", control bytes, text after the end), UTF-8, keys that stand twice, and nesting before
// its recursion follows it. Writing the tree here too was rejected: the project has one JSON tree.
#include "frontends/json.h"

#include <math.h>
#include <string.h>

#include "frontends/name_index.h"

enum { DEPTH_MAX = 64, FEW_KEYS = 8 };

typedef struct Scanner {
    const char *path;
    const unsigned char *at, *begin, *end;
    Diag *diag;
} Scanner;

static bool fail_at(const Scanner *scanner, const char *what)
{
    Where where = {.file = scanner->path, .line = 1, .column = 1};
    for (const unsigned char *c = scanner->begin; c < scanner->at; c++) {
        where.column = *c == '\n' ? 1 : where.column + 1;
        where.line += *c == '\n';
    }
    return diag_fail(scanner->diag, where, "not JSON: %s", what);
}

static int peek(const Scanner *scanner)
{
    return scanner->at < scanner->end ? *scanner->at : -1;
}

static void skip_space(Scanner *scanner)
{
    while (scanner->at < scanner->end && memchr(" \t\n\r", *scanner->at, 4))
        scanner->at++;
}

static bool take(Scanner *scanner, int byte)
{
    bool found = peek(scanner) == byte;
    scanner->at += found;
    return found;
}

static bool is_digit(int byte)
{
    return byte >= '0' && byte <= '9';
}

static bool skip_digits(Scanner *scanner)
{
    if (!is_digit(peek(scanner)))
        return fail_at(scanner, "a digit was expected");
    while (is_digit(peek(scanner)))
        scanner->at++;
    return true;
}

static bool scan_number(Scanner *scanner)
{
    take(scanner, '-');
    if (!take(scanner, '0') && !skip_digits(scanner))
        return false;
    if (take(scanner, '.') && !skip_digits(scanner))
        return false;
    if (!take(scanner, 'e') && !take(scanner, 'E'))
        return true;
    if (!take(scanner, '+'))
        take(scanner, '-');
    return skip_digits(scanner);
}

// Bytes of the UTF-8 sequence here, 0 if it is none (overlong, a surrogate, cut short).
static int sequence_bytes(const Scanner *scanner)
{
    const unsigned char *c = scanner->at;
    int64_t rest = scanner->end - c;
    int length = c[0] < 0x80 ? 1 : c[0] < 0xc2 ? 0 : c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
    if (length > rest || c[0] > 0xf4)
        return 0;
    for (int i = 1; i < length; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xf0 && c[1] < 0x90);
    bool beyond = (c[0] == 0xed && c[1] >= 0xa0) || (c[0] == 0xf4 && c[1] >= 0x90);
    return length > 1 && (overlong || beyond) ? 0 : length;
}

static bool scan_escape(Scanner *scanner)
{
    int byte = peek(scanner), zeros = 0;
    if (byte < 0 || !memchr("\"\\/bfnrtu", byte, 9))
        return fail_at(scanner, "an escape that does not exist");
    scanner->at++;
    for (int i = 0; byte == 'u' && i < 4; i++, scanner->at++) {
        int digit = peek(scanner);
        if (!is_digit(digit) && !((digit | 32) >= 'a' && (digit | 32) <= 'f'))
            return fail_at(scanner, "\\u needs four hexadecimal digits");
        zeros += digit == '0';
    }
    return zeros < 4 || fail_at(scanner, "\\u0000 in a text is not supported");
}

static bool scan_text(Scanner *scanner)
{
    if (!take(scanner, '"'))
        return fail_at(scanner, "a text in quotes was expected");
    while (peek(scanner) != '"') {
        int byte = peek(scanner);
        if (byte < 0)
            return fail_at(scanner, "a text does not end");
        if (byte < 0x20)
            return fail_at(scanner, "a control byte in a text");
        int length = sequence_bytes(scanner);
        if (length == 0)
            return fail_at(scanner, "a text is not UTF-8");
        scanner->at += length;
        if (byte == '\\' && !scan_escape(scanner))
            return false;
    }
    scanner->at++;
    return true;
}

static bool scan_value(Scanner *scanner, int depth);

// The items of an array, or with `keys` of an object, after its opening bracket.
static bool scan_items(Scanner *scanner, bool keys, int depth)
{
    int close = keys ? '}' : ']';
    if (depth == DEPTH_MAX)
        return fail_at(scanner, "nested deeper than 64 levels");
    skip_space(scanner);
    if (take(scanner, close))
        return true;
    do {
        skip_space(scanner);
        if (keys) {
            if (!scan_text(scanner))
                return false;
            skip_space(scanner);
            if (!take(scanner, ':'))
                return fail_at(scanner, "a colon was expected after a key");
        }
        if (!scan_value(scanner, depth + 1))
            return false;
        skip_space(scanner);
    } while (take(scanner, ','));
    return take(scanner, close) ||
           fail_at(scanner, keys ? "a comma or } was expected" : "a comma or ] was expected");
}

static bool scan_value(Scanner *scanner, int depth)
{
    static const char *const words[] = {"true", "false", "null"};
    skip_space(scanner);
    int byte = peek(scanner);
    if (byte == '"')
        return scan_text(scanner);
    if (byte == '-' || is_digit(byte))
        return scan_number(scanner);
    if (take(scanner, '{') || take(scanner, '['))
        return scan_items(scanner, byte == '{', depth);
    for (int i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(scanner->end - scanner->at) >= length &&
            !memcmp(scanner->at, words[i], length)) {
            scanner->at += length;
            return true;
        }
    }
    return fail_at(scanner, "a value was expected");
}

static bool scan_all(Scanner *scanner)
{
    if (!scan_value(scanner, 0))
        return false;
    skip_space(scanner);
    return scanner->at == scanner->end || fail_at(scanner, "something follows the value");
}

// A key of the object that stands in it twice, or NULL.
static const char *key_twice(const cJSON *object)
{
    Arena arena = {0};
    NameIndex index = {0};
    int count = cJSON_GetArraySize(object);
    const char *twice = NULL;
    if (count > FEW_KEYS)
        index = name_index_new(&arena, count);
    for (const cJSON *item = object->child; item && !twice; item = item->next) {
        if (index.slots && !name_index_add(&index, item->string, 0))
            twice = item->string;
        for (const cJSON *other = object->child; !index.slots && other != item; other = other->next)
            if (strcmp(other->string, item->string) == 0)
                twice = item->string;
    }
    arena_free(&arena);
    return twice;
}

static bool check_keys(const cJSON *value, const char *path, Diag *diag)
{
    const char *twice = cJSON_IsObject(value) ? key_twice(value) : NULL;
    if (twice)
        return diag_fail(diag, (Where){.file = path}, "the key \"%.128s\" stands twice", twice);
    for (const cJSON *item = value->child; item; item = item->next)
        if (item->child && !check_keys(item, path, diag))
            return false;
    return true;
}

cJSON *json_parse(const char *path, const void *text, uint64_t bytes, Diag *diag)
{
    Where where = {.file = path};
    Scanner scanner = {path, text, text, (const unsigned char *)text + bytes, diag};
    if (bytes > JSON_BYTES_MAX) {
        diag_fail(diag, where, "JSON of %llu bytes; at most %d are read", (unsigned long long)bytes,
                  JSON_BYTES_MAX);
        return NULL;
    }
    if (!scan_all(&scanner))
        return NULL;
    cJSON *value = cJSON_ParseWithLength(text, (size_t)bytes);
    if (!value)
        diag_fail(diag, where, "not JSON that can be read: an escaped surrogate stands alone");
    else if (check_keys(value, path, diag))
        return value;
    cJSON_Delete(value);
    return NULL;
}

bool json_whole(const cJSON *value, int64_t least, int64_t *whole)
{
    static const double exact = 9007199254740992.0; // 2^53
    if (!cJSON_IsNumber(value) || !(fabs(value->valuedouble) <= exact) ||
        value->valuedouble != floor(value->valuedouble))
        return false;
    *whole = (int64_t)value->valuedouble;
    return *whole >= least;
}
