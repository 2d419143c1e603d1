model.describe {context = 0, vocabulary = 32}
