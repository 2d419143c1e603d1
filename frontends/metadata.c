#include "frontends/metadata.h"

#include <string.h>

MetaValue meta_text(const char *text)
{
    return (MetaValue){META_TEXT, "string", .text = {text, (int64_t)strlen(text)}};
}

MetaValue meta_count(uint64_t count)
{
    return (MetaValue){META_UINT, "u64", .natural = count};
}

MetaValue meta_real(float number)
{
    return (MetaValue){META_FLOAT, "f32", .real = (double)number};
}

MetaValue meta_array(const MetaValue *items, int64_t count)
{
    const char *item_type = count ? items->type_name : NULL;
    return (MetaValue){META_ARRAY, "array", .array = {items, count, item_type}};
}

bool metadata_add(MetadataList *list, const char *key, MetaValue value)
{
    Metadata item = {.key = key, .value = value};
    if (!name_index_append(list->arena, &list->file->metadata_index, key, list->items.count))
        return false;
    vector_push(list->arena, &list->items, item);
    return true;
}

const MetaValue *metadata_find(const MetadataList *list, const char *key)
{
    int64_t position = name_index_find(&list->file->metadata_index, key);
    return position < 0 ? NULL : &list->items.items[position].value;
}

bool metadata_add_own(MetadataList *list, const char *key, MetaValue value)
{
    return metadata_add(list, arena_format(list->arena, "%s.%s", list->file->architecture, key),
                        value);
}

void metadata_keep(const MetadataList *list)
{
    list->file->metadata = list->items.items;
    list->file->metadata_count = list->items.count;
}
