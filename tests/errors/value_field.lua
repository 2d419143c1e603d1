print(token.rows)
