model.describe {contxt = 128, vocabulary = 32}
