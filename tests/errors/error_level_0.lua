local function refuse()
    error("biases are not supported", 0)
end
refuse()
