local n = token:columns()
