local angles = rope_table(pos, {dims = 32.5, theta = 10000})
