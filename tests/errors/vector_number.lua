vector('v', {1, 'two'})
