local function deeper()
    local fine, message = pcall(deeper)
    if not fine then error(message, 0) end
end
deeper()
