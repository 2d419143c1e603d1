vector('output_norm.weight', {1})
