-- What models with mixtures of experts share: the mixture, and the decoder around it.

local hp, w = model.hyperparameters, model.weight
local n = hp.embedding_length
local M = {}

-- Each row of x goes to `expert_used_count` of the layer's experts, SwiGLU networks whose matrices lie
-- one below another; their results are added, weighted by the router's softmax. `normalise`: weights
-- of a row add up to 1. Shazeer et al. 2017; Jiang et al. 2024 (Mixtral).
function M.mixture(x, weight, normalise)
    local count = hp.expert_count
    local hidden = hp:get("expert_feed_forward_length") or hp.feed_forward_length
    local ids, shares = route(matmul(x, weight("ffn_gate_inp", count, n)),
        {k = hp.expert_used_count, normalise = normalise and 1 or 0})
    local function expert(y, name, rows, columns)
        return matmul_experts(y, weight(name .. "_exps", count, rows, columns), ids, {experts = count})
    end
    local gate, up = expert(x, "ffn_gate", hidden, n), expert(x, "ffn_up", hidden, n)
    return combine(expert(swiglu(gate, up), "ffn_down", n, hidden), shares)
end

-- A feed-forward network that every row goes through; `suffix` tells its weights from the experts'.
function M.network(x, weight, hidden, suffix)
    local gate = matmul(x, weight("ffn_gate" .. suffix, hidden, n))
    local up = matmul(x, weight("ffn_up" .. suffix, hidden, n))
    return matmul(swiglu(gate, up), weight("ffn_down" .. suffix, n, hidden))
end

return M
