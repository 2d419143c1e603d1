local done, message = pcall(function()
    error("first")
end)
error(message, 0)
