named("layer 0", token)
