named("token", token)
