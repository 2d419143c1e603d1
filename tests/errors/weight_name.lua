local norm = model.weight(nil, {64})
