-- A graph of random layers for compile_time.sh: attention, feed-forward, sums and products of
-- values of a few layers before, and one value that all layers read. Deterministic.
local hp, w = model.hyperparameters, model.weight
local n, hidden, vocab = hp.embedding_length, hp.feed_forward_length, hp.vocab_size
local heads, kv_heads = hp["attention.head_count"], hp["attention.head_count_kv"]
local dim = n // heads
local seed = 1

local function below(count)
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    return (seed >> 16) % count
end

local embedding = w("token_embd.weight", {vocab, n})
local angles = rope_table(pos, {dims = dim, theta = 10000, scale = 1})
local values = {embed(embedding, token)}
local shared = silu(values[1])

local function recent() return values[#values - below(math.min(#values, 6))] end

local function attend(x, weight, layer)
    local keys, stored = kv_state("k" .. layer, "v" .. layer, {heads = kv_heads, dim = dim})
    local function rotate(y) return rope(y, angles, {head_dim = dim, style = "neox"}) end
    local q = rotate(matmul(x, weight("attn_q", n, n)))
    kv_store(rotate(matmul(x, weight("attn_k", kv_heads * dim, n))), pos, seq, pages, keys)
    kv_store(matmul(x, weight("attn_v", kv_heads * dim, n)), pos, seq, pages, stored)
    local mixed = attention(q, pos, seq, pages, keys, stored, {heads = heads, scale = dim ^ -0.5})
    return matmul(mixed, weight("attn_output", n, n))
end

for layer = 0, hp.block_count - 1 do
    local function weight(name, ...)
        return w("blk." .. layer .. "." .. name .. ".weight", {...})
    end
    local h = rms_norm(recent(), weight("attn_norm", n), {eps = 1e-5})
    local kind, y = below(4), h
    if kind == 0 then
        y = attend(h, weight, layer)
    elseif kind == 1 then
        local act = swiglu(matmul(h, weight("ffn_gate", hidden, n)),
            matmul(h, weight("ffn_up", hidden, n)))
        y = matmul(act, weight("ffn_down", n, hidden))
    elseif kind == 2 then
        y = silu(h) * shared
    else
        y = -h * 0.5
    end
    values[#values + 1] = named("l" .. layer, y + recent())
end

local sum = values[#values]
for back = 1, math.min(5, #values - 1) do sum = sum + values[#values - back] end
local last = rms_norm(gather_rows(sum, row), w("output_norm.weight", {n}), {eps = 1e-5})
output("logits", matmul(last, embedding))
model.describe {context = hp.context_length, vocabulary = vocab}
