-- mistral: Llama with a sliding window in every layer. GGUF files of it say llama.
-- Jiang et al. 2023.

require "llama"
