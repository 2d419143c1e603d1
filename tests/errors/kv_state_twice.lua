local keys, values = kv_state("k0", "v0", {heads = 2, dim = 32})
keys, values = kv_state("k1", "v0", {heads = 2, dim = 32})
