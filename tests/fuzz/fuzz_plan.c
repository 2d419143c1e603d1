// Hostile plans: plan_open accepts or refuses with a message, and an accepted plan can be printed
// and its weights checked. Checksums would stop every changed byte at the door, so each input is
// opened twice: as it is, and with places and checksums made right, which leaves the checker to
// find the rest.
#include "tests/fuzz/bytes_file.h"

#include <string.h>

#include "runtime/plan_file.h"

static void open_bytes(const uint8_t *data, size_t size)
{
    Diag diag = {0};
    Text text = {0};
    Plan *plan = plan_open(bytes_file(data, size), &diag);
    if ((plan == NULL) != diag.failed)
        abort();
    if (plan) {
        plan_print(plan, &text);
        plan_check_data(plan, &diag);
    }
    text_free(&text);
    plan_close(plan);
}

// Gives the header places and checksums that agree with its sizes, as far as the bytes reach.
static void mend(PlanHeader *header, const uint8_t *data, size_t size)
{
    plan_place_sections(header);
    for (int i = 0; i < SECTION_COUNT; i++) {
        PlanSectionEntry *entry = &header->sections[i];
        if (entry->offset <= size && entry->bytes <= size - entry->offset)
            entry->hash = hash128(data + entry->offset, entry->bytes);
    }
    header->hash = plan_header_hash(header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    open_bytes(data, size);
    if (size < sizeof(PlanHeader))
        return 0;
    uint8_t *copy = malloc(size);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    PlanHeader header;
    memcpy(&header, copy, sizeof header);
    mend(&header, copy, size);
    memcpy(copy, &header, sizeof header);
    open_bytes(copy, size);
    free(copy);
    return 0;
}
