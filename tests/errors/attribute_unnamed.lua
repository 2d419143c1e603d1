local angles = rope_table(pos, {32, 10000})
