local x = embed(model.weight("token_embd.weight", {32, 64}), token)
while true do
    x = x + 1
end
