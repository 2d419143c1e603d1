local function project(x, name)
    return matmul(x, model.weight(name, {64, 96}))
end
local x = embed(model.weight("token_embd.weight", {32, 64}), token)
x = project(x, "blk.0.ffn_down.weight")
