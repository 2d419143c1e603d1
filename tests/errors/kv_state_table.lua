local keys, values = kv_state("k0", "v0")
