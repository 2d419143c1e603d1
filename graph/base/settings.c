#include "graph/base/settings.h"

#include <math.h>

const SettingInfo setting_table[SETTING_COUNT] = {
#define SETTING(field, key, least, most, whole) {key, least, most, whole},
#include "graph/base/settings.def"
#undef SETTING
};

bool setting_holds(SettingKind kind, float value)
{
    const SettingInfo *info = &setting_table[kind];
    return value >= info->least && value <= info->most && (!info->whole || value == floorf(value));
}
