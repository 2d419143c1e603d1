local x = embed(model.weight("token_embd.weight", {32, 64}), token)
for i = 1, 100 do
    x = concat(x, x, {axis = 1})
end
