-- phi3: Llama with q, k and v in one weight and gate and up in another, which the shared blocks
-- know; part of each head may stay without rotation. Abdin et al. 2024.

require "llama"
