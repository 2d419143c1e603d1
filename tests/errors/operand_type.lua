local x = embed("token_embd.weight", token)
