#include "tests/kernels/store.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/math.h"

// Bytes in a page that belong to no state of the call.
enum { SPARE_BYTES = 192 };

DType state_type(int i)
{
    static const DType types[] = {DTYPE_f32, DTYPE_f16, DTYPE_q8_0};
    return types[i % 3];
}

static int64_t state_bytes(const StoreShape *shape, DType dtype, Layout layout)
{
    return layout_bytes(dtype, layout, shape->page_tokens,
                        state_columns(dtype, shape->kv_heads, shape->head_size));
}

static KernelOperand state_new(const Store *store, DType dtype, Layout layout, int32_t page_count)
{
    const StoreShape *shape = &store->shape;
    return (KernelOperand){guarded_new(page_count * store->pages.page_bytes), shape->page_tokens,
                           (int64_t)shape->kv_heads * shape->head_size, dtype, layout};
}

Store store_new(StoreShape shape, Random *random)
{
    Store store = {.shape = shape};
    int64_t keys = state_bytes(&shape, shape.keys, LAYOUT_k32);
    int64_t values = state_bytes(&shape, shape.values, LAYOUT_v1);
    int32_t per_sequence = (shape.positions + shape.page_tokens - 1) / shape.page_tokens;
    int32_t page_count = shape.sequences * per_sequence + 1;
    store.pages = (KernelPages){((keys > values ? keys : values) + SPARE_BYTES + 63) / 64 * 64,
                                shape.page_tokens, per_sequence, shape.kv_heads};
    store.keys = state_new(&store, shape.keys, LAYOUT_k32, page_count);
    store.values = state_new(&store, shape.values, LAYOUT_v1, page_count);
    store.table = operand_new(DTYPE_i32, LAYOUT_plain, shape.sequences, per_sequence);
    memset(store.table.data, 0xff, sizeof(int32_t) * (size_t)(shape.sequences * per_sequence));
    store.free_pages = malloc((size_t)page_count * sizeof(int32_t));
    ck_assert_ptr_nonnull(store.free_pages);
    for (int32_t page = 0; page < page_count; page++) {
        int32_t other = random_between(random, 0, page);
        store.free_pages[page] = store.free_pages[other];
        store.free_pages[other] = page;
    }
    store.free_count = page_count;
    return store;
}

void store_free(Store *store)
{
    operand_free(&store->keys);
    operand_free(&store->values);
    operand_free(&store->table);
    free(store->free_pages);
}

static int32_t *table_entry(const Store *store, int32_t sequence, int32_t position)
{
    return (int32_t *)store->table.data + sequence * store->pages.pages_per_sequence +
           position / store->pages.page_tokens;
}

void store_touch(Store *store, int32_t sequence, int32_t position)
{
    int32_t *entry = table_entry(store, sequence, position);
    if (*entry < 0)
        *entry = store->free_pages[--store->free_count];
}

void store_drop(Store *store, int32_t sequence, int32_t position)
{
    int32_t *entry = table_entry(store, sequence, position);
    ck_assert_int_ge(*entry, 0);
    size_t bytes = (size_t)store->pages.page_bytes;
    memset((char *)store->keys.data + (size_t)*entry * bytes, 0xff, bytes);
    memset((char *)store->values.data + (size_t)*entry * bytes, 0xff, bytes);
    store->free_pages[store->free_count++] = *entry;
    *entry = -1;
}

int64_t store_bytes(const Store *store)
{
    return (store->shape.sequences * store->pages.pages_per_sequence + 1) * store->pages.page_bytes;
}

static float element_of(const Store *store, const KernelOperand *state, int32_t sequence,
                        int32_t position, int64_t element)
{
    const char *page = (const char *)state->data +
                       *table_entry(store, sequence, position) * store->pages.page_bytes;
    if (state->dtype == DTYPE_f16)
        return f16_to_f32(((const uint16_t *)page)[element]);
    return ((const float *)page)[element];
}

// A quant of q8_0 times its scale: half of the pair that `pair` numbers, at `column` of its line.
static float quant_of(const Store *store, const KernelOperand *state, int32_t sequence,
                      int32_t position, int32_t head, int32_t element, int32_t pair, int32_t column)
{
    int32_t slot = position % store->shape.page_tokens;
    int64_t blocks = (store->shape.head_size + 31) / 32;
    int64_t group = head * (store->shape.page_tokens / 32) + slot / 32;
    const char *block = (const char *)state->data +
                        *table_entry(store, sequence, position) * store->pages.page_bytes +
                        (group * blocks + element / 32) * 1088;
    uint16_t scale;
    memcpy(&scale, block + slot % 32 * 2, sizeof scale);
    return f16_to_f32(scale) * (float)(int8_t)block[64 + pair / 2 * 64 + column * 2 + pair % 2];
}

float store_key(const Store *store, int32_t sequence, int32_t position, int32_t head,
                int32_t element)
{
    int32_t tokens = store->shape.page_tokens, slot = position % tokens;
    int64_t group = head * (tokens / 32) + slot / 32;
    if (store->keys.dtype == DTYPE_q8_0)
        return quant_of(store, &store->keys, sequence, position, head, element, element % 32,
                        slot % 32);
    return element_of(store, &store->keys, sequence, position,
                      (group * store->shape.head_size + element) * 32 + slot % 32);
}

float store_value(const Store *store, int32_t sequence, int32_t position, int32_t head,
                  int32_t element)
{
    int32_t slot = position % store->shape.page_tokens;
    int64_t row = head * store->shape.page_tokens + slot;
    if (store->values.dtype == DTYPE_q8_0)
        return quant_of(store, &store->values, sequence, position, head, element, slot % 32,
                        element % 32);
    return element_of(store, &store->values, sequence, position,
                      row * store->shape.head_size + element);
}

KernelOperand integers_new(const int32_t *values, int64_t count)
{
    KernelOperand operand = operand_new(DTYPE_i32, LAYOUT_plain, 1, count);
    memcpy(operand.data, values, (size_t)count * sizeof *values);
    return operand;
}

const KernelRow *reference_of(Op op)
{
    for (int32_t i = 0; i < kernel_count; i++)
        if (kernel_table[i].op == op && kernel_table[i].target == TARGET_ref)
            return &kernel_table[i];
    ck_abort_msg("%s has no reference", op_table[op].name);
}
