local n = model.hyperparameters.embeding_length
