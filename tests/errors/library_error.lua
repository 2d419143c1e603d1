local text = ("x"):rep(nil)
