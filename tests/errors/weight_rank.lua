local norm = model.weight("output_norm.weight", {64, 1})
