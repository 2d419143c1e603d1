local keys, values = kv_state("k0", "v0", {heads = 2, size = 32})
