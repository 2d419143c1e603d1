// Metadata put together by readers whose files have none under the names of GGUF.
#ifndef FRONTENDS_METADATA_H
#define FRONTENDS_METADATA_H

#include "frontends/model_file.h"

typedef struct MetadataList {
    ModelFile *file; // its index is kept up to date, its list set by metadata_keep
    Arena *arena;
    Vector(Metadata) items;
} MetadataList;

MetaValue meta_text(const char *text); // which is not copied
MetaValue meta_count(uint64_t count);
MetaValue meta_real(float number);
MetaValue meta_array(const MetaValue *items, int64_t count);
// False, and nothing changes, if the key is there already.
bool metadata_add(MetadataList *list, const char *key, MetaValue value);
const MetaValue *metadata_find(const MetadataList *list, const char *key);
// Adds "ARCHITECTURE.key" of file->architecture.
bool metadata_add_own(MetadataList *list, const char *key, MetaValue value);
// Makes the list that of the file.
void metadata_keep(const MetadataList *list);

#endif
