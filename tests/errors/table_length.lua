local endless = setmetatable({}, {__len = function() return 1 << 60 end})
table.insert(endless, 1, 0)
