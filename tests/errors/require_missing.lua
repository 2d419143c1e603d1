local attention = require "attention"
