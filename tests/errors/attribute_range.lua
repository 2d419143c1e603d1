local angles = rope_table(pos, {dims = 32, theta = 1e39})
