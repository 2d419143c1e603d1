local odd = model.weight("blk.0.odd.weight", {64, 64})
