// The rules of the ops around keys and values: rope, kv_store, attention and their fusion.
//
// These ops read a step's pos, seq and page table, which stand side by side among their operands,
// and the states that hold the heads: how many and how large is the state's to say, not the op's.
#include "graph/infer.h"

static bool want_state(Inference *in, int i, const char *name, const StateRole *role)
{
    static const char *const role_names[] = {[STATE_KEYS] = "keys", [STATE_VALUES] = "values"};
    const Value *value = in->operands[i];
    if (value->kind != VALUE_STATE)
        return infer_refuse(in, "%s is %s, expected a state", name, infer_type_text(in, 0, value));
    if (role && value->state->role != *role)
        return infer_refuse(in, "%s is a state of %s, expected one of %s", name,
                            role_names[value->state->role], role_names[*role]);
    return true;
}

static bool want_dims(Inference *in, int64_t dims)
{
    if (dims > 0 && dims % 2 == 0)
        return true;
    return infer_refuse(in, "dims is %lld, expected an even number", (long long)dims);
}

bool infer_rope_table(Inference *in)
{
    int64_t dims = in->attributes->rope_table.dims;
    double theta = (double)in->attributes->rope_table.theta;
    if (!want_integers(in, 0, "pos", 1) || !want_dims(in, dims))
        return false;
    if (!(theta > 0))
        return infer_refuse(in, "theta is %g, expected more than 0", theta);
    if (!(in->attributes->rope_table.magnitude > 0))
        return infer_refuse(in, "magnitude is %g, expected more than 0",
                            (double)in->attributes->rope_table.magnitude);
    if (in->count == 2 && !want_vector(in, 1, "factors", dims / 2, "half of dims gives"))
        return false;
    return give_f32(in, rows_of(in, 0), dims);
}

static bool want_table(Inference *in, int i, int64_t head_dim)
{
    if (!want_rows(in, i, "table") || !want_rows_equal(in, i, "table", 0, "x"))
        return false;
    int64_t dims = columns_of(in, i);
    if (dims % 2 || dims > head_dim)
        return infer_refuse(
            in, "table has %lld columns, expected an even number up to the head size %lld",
            (long long)dims, (long long)head_dim);
    return true;
}

bool infer_rope(Inference *in)
{
    int64_t head_dim = in->attributes->rope.head_dim;
    if (!want_positive(in, "head_dim", in->attributes->rope.head_dim) || !want_rows(in, 0, "x"))
        return false;
    if (columns_of(in, 0) % head_dim)
        return infer_refuse(in, "x has %lld columns, expected a multiple of head_dim %lld",
                            (long long)columns_of(in, 0), (long long)head_dim);
    return want_table(in, 1, head_dim) && give(in, 0, DTYPE_f32, *shape_of(in, 0));
}

// pos, seq and the page table from operand i on; x is operand 0.
static bool want_step(Inference *in, int i)
{
    return want_integers(in, i, "pos", 1) && want_rows_equal(in, i, "pos", 0, "x") &&
           want_integers(in, i + 1, "seq", 1) && want_rows_equal(in, i + 1, "seq", 0, "x") &&
           want_integers(in, i + 2, "table", 2);
}

static const State *state_of(const Inference *in, int i)
{
    return in->operands[i]->state;
}

bool infer_kv_store(Inference *in)
{
    if (!want_rows(in, 0, "x") || !want_step(in, 1) || !want_state(in, 4, "state", NULL))
        return false;
    int64_t columns = (int64_t)state_of(in, 4)->kv_heads * state_of(in, 4)->head_dim;
    if (columns_of(in, 0) != columns)
        return infer_refuse(in, "x has %lld columns, the state holds %d heads of %d",
                            (long long)columns_of(in, 0), state_of(in, 4)->kv_heads,
                            state_of(in, 4)->head_dim);
    return true;
}

// keys and values at operands i and i + 1, of one shape.
static bool want_keys_and_values(Inference *in, int i)
{
    static const StateRole keys = STATE_KEYS, values = STATE_VALUES;
    if (!want_state(in, i, "keys", &keys) || !want_state(in, i + 1, "values", &values))
        return false;
    if (!shape_equal(shape_of(in, i), shape_of(in, i + 1)))
        return infer_refuse(in, "shapes differ: keys are %s, values %s",
                            infer_type_text(in, 0, in->operands[i]),
                            infer_type_text(in, 1, in->operands[i + 1]));
    return true;
}

bool infer_attention(Inference *in)
{
    int32_t heads = in->attributes->attention.heads;
    if (!want_positive(in, "heads", heads) || !want_rows(in, 0, "q") || !want_step(in, 1) ||
        !want_keys_and_values(in, 4))
        return false;
    int64_t head_dim = state_of(in, 4)->head_dim;
    if (columns_of(in, 0) != heads * head_dim)
        return infer_refuse(in, "q has %lld columns, expected %d heads of %lld",
                            (long long)columns_of(in, 0), heads, (long long)head_dim);
    if (heads % state_of(in, 4)->kv_heads)
        return infer_refuse(in, "%d heads do not divide among %d key heads", heads,
                            state_of(in, 4)->kv_heads);
    if (in->attributes->attention.window < 0)
        return infer_refuse(in, "window is %d, expected at least 0",
                            in->attributes->attention.window);
    if (in->attributes->attention.softcap < 0)
        return infer_refuse(in, "softcap is %g, expected at least 0",
                            (double)in->attributes->attention.softcap);
    return give_post(in, 0, "post", *shape_of(in, 0));
}

bool infer_rope_qk_store(Inference *in)
{
    int32_t heads = in->attributes->rope_qk_store.heads;
    int32_t kv_heads = in->attributes->rope_qk_store.kv_heads;
    if (!want_positive(in, "heads", heads) || !want_positive(in, "kv_heads", kv_heads) ||
        !want_rows(in, 0, "qkv") || !want_step(in, 2) || !want_keys_and_values(in, 5))
        return false;
    int64_t head_dim = state_of(in, 5)->head_dim;
    if (kv_heads != state_of(in, 5)->kv_heads)
        return infer_refuse(in, "kv_heads is %d, keys hold %d heads", kv_heads,
                            state_of(in, 5)->kv_heads);
    if (columns_of(in, 0) != (heads + 2 * (int64_t)kv_heads) * head_dim)
        return infer_refuse(in, "qkv has %lld columns, expected (%d + 2 * %d) heads of %lld",
                            (long long)columns_of(in, 0), heads, kv_heads, (long long)head_dim);
    return want_table(in, 1, head_dim) && give_f32(in, rows_of(in, 0), heads * head_dim);
}
