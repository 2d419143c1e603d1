local broken = require "modules.broken"
broken.fail()
