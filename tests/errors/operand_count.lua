local x = embed(token)
