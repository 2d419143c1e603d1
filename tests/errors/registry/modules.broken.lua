local broken = {}

function broken.fail()
    error("this module is broken")
end

return broken
