-- mixtral: Llama with a mixture of experts in every layer. GGUF files of it say llama.
-- Jiang et al. 2024.

require "llama"
