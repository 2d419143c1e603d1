// Nearness is the edit distance (insert, remove, replace one byte: Wagner and Fischer 1974),
// allowed up to a quarter of the name's length. Only the first bytes of long names count, so that
// one look-up in a hostile file stays cheap.
#include "frontends/lua/closest.h"

#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 96, SHOWN = 3 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int edit_distance(const char *a, const char *b)
{
    int row[NAME_BYTES + 1];
    int a_length = (int)strnlen(a, NAME_BYTES), b_length = (int)strnlen(b, NAME_BYTES);
    for (int j = 0; j <= b_length; j++)
        row[j] = j;
    for (int i = 1; i <= a_length; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= b_length; j++) {
            int replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(replaced, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_length];
}

void closest_names(const char *wanted, NameAt *name_at, const void *context, int64_t count,
                   char *buffer, size_t buffer_bytes)
{
    const char *names[SHOWN + 1];
    int distances[SHOWN + 1], found = 0;
    int allowed = (int)strnlen(wanted, NAME_BYTES) / 4 + 1;
    for (int64_t i = 0; i < count; i++) {
        const char *name = name_at(context, i);
        int distance = name ? edit_distance(wanted, name) : allowed + 1;
        if (distance > allowed)
            continue;
        int at = found;
        for (; at > 0 && distances[at - 1] > distance; at--) {
            distances[at] = distances[at - 1];
            names[at] = names[at - 1];
        }
        distances[at] = distance;
        names[at] = name;
        found = least(found + 1, SHOWN);
    }
    size_t used = 0;
    *buffer = 0;
    for (int i = 0; i < found && used < buffer_bytes; i++)
        used += (size_t)snprintf(buffer + used, buffer_bytes - used, "%s\"%.*s\"",
                                 i ? ", " : "; closest: ", NAME_BYTES, names[i]);
}
