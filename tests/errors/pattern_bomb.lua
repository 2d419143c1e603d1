local subject = ("a"):rep(100000)
subject:find(".-.-.-.-b")
