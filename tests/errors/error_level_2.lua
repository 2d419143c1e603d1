local function refuse()
    error("biases are not supported", 2)
end
refuse()
