local heads
local dim = 64 // heads
