local blocks = {}

function blocks.double(x)
    return x + x
end

return blocks
