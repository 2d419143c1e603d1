local down = model.weight("blk.0.ffn_down.weight",
                          {64, 95})
