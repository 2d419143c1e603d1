local attention = require "../attention"
