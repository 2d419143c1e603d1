local keys, values = kv_state("k0", "v0", {heads = 0, dim = 32})
