vector('v', {})
