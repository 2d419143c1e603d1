local x
named("hidden", x)
