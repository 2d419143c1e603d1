local x = embed(token
local y = 2
