local function refuse()
    error("biases are not supported")
end
refuse()
