// Sampling settings that come with a model (settings.def): from its files through the plan to the
// program that runs it.
#ifndef GRAPH_BASE_SETTINGS_H
#define GRAPH_BASE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum SettingKind {
#define SETTING(field, key, least, most, whole) SETTING_##field,
#include "graph/base/settings.def"
#undef SETTING
    SETTING_COUNT
} SettingKind;

typedef struct SettingInfo {
    const char *key;
    float least, most;
    bool whole;
} SettingInfo;

extern const SettingInfo setting_table[SETTING_COUNT];

typedef struct Setting {
    uint32_t kind; // SettingKind
    float value;
} Setting;

// Whether the value is one that the setting can have.
bool setting_holds(SettingKind kind, float value);

#endif
