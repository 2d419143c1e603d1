#!/usr/bin/env python3
"""Makes the goldens of architectures.sh with Hugging Face transformers.

    make.py NAME...       writes NAME/{config.json,tensors.txt,golden.txt} (all names: no argument)
    make.py --check PROGRAMS NAME...
                          compares whole logits of graphc and graphrun in folder PROGRAMS instead

A model is a config of the architecture's own class with every feature on, weights from the
generator that make_model.c has too (tensors.txt: name, base, scale, shape), and 96 token ids: a
prompt of 64 and 32 that are decoded one at a time with the cache. golden.txt holds some logits of
some positions as float32 transformers computes them.
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy
import torch
import transformers
from safetensors.numpy import save_file

FOLDER = os.path.dirname(os.path.abspath(__file__))
PROMPT, DECODED, VOCABULARY = 64, 32, 160
ROWS = [0, 1, 15, 16, 31, 33, 47, 63, 64, 65, 80, 95]
COLUMNS = list(range(3, VOCABULARY, 10))

DENSE = dict(vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=3,
             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
             bos_token_id=1, eos_token_id=2, pad_token_id=0)


def dense(**more):
    return {**DENSE, **more}


def rope(theta, **more):
    return dict(rope_theta=theta, **more)


LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)

# name: config class, its arguments
MODELS = {
    "llama": ("LlamaConfig", dense(rope_parameters=rope(5e5, **LLAMA3), attention_bias=True,
                                   mlp_bias=True)),
    "llama_linear": ("LlamaConfig", dense(
        rope_parameters=rope(1e4, rope_type="linear", factor=4.0), tie_word_embeddings=True)),
    "llama_dynamic": ("LlamaConfig", dense(
        rope_parameters=rope(1e4, rope_type="dynamic", factor=2.0), head_dim=24)),
    "mistral": ("MistralConfig", dense(sliding_window=16, head_dim=32,
                                       rope_parameters=rope(1e6, rope_type="default"))),
    "qwen2": ("Qwen2Config", dense(
        use_sliding_window=True, sliding_window=16, max_window_layers=1, tie_word_embeddings=True,
        rope_parameters=rope(1e4, **YARN, truncate=False, mscale=1.5, mscale_all_dim=0.75))),
    "qwen3": ("Qwen3Config", dense(
        head_dim=32, use_sliding_window=True, sliding_window=16, max_window_layers=2,
        rope_parameters=rope(1e4, **YARN, attention_factor=1.25, beta_fast=1.5, beta_slow=0.25))),
    "gemma": ("GemmaConfig", dense(head_dim=32, num_key_value_heads=1)),
    "gemma2": ("Gemma2Config", dense(
        head_dim=32, sliding_window=16, query_pre_attn_scalar=20, attn_logit_softcapping=5.0,
        final_logit_softcapping=3.0)),
    "gemma3": ("Gemma3TextConfig", dense(
        head_dim=32, sliding_window=16, query_pre_attn_scalar=20, num_hidden_layers=4,
        layer_types=["sliding_attention", "sliding_attention", "full_attention",
                     "sliding_attention"],
        rope_parameters={
            "full_attention": rope(1e6, rope_type="linear", factor=8.0),
            "sliding_attention": rope(1e4, rope_type="default")})),
    "phi3": ("Phi3Config", dense(
        sliding_window=16, partial_rotary_factor=0.5, original_max_position_embeddings=32,
        rope_parameters=rope(1e4, rope_type="longrope", partial_rotary_factor=0.5,
                             original_max_position_embeddings=32,
                             short_factor=[1.0, 1.25, 1.5, 2.0],
                             long_factor=[1.0, 2.5, 6.0, 16.0]))),
    "gpt2": ("GPT2Config", dict(vocab_size=VOCABULARY, n_positions=128, n_embd=64, n_layer=3,
                                n_head=4, bos_token_id=1, eos_token_id=2)),
    "gptneox": ("GPTNeoXConfig", dict(
        vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=128, max_position_embeddings=128, bos_token_id=1, eos_token_id=2,
        rope_parameters=rope(1e4, rope_type="default", partial_rotary_factor=0.5),
        rotary_pct=0.5)),
    "gptneox_serial": ("GPTNeoXConfig", dict(
        vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=128, max_position_embeddings=128, use_parallel_residual=False,
        bos_token_id=1, eos_token_id=2, tie_word_embeddings=True)),
    "smollm3": ("SmolLM3Config", dense(
        num_hidden_layers=4, no_rope_layer_interval=3, use_sliding_window=True, sliding_window=16,
        rope_parameters=rope(5e4, rope_type="default"))),
    "olmo2": ("Olmo2Config", dense(rope_parameters=rope(5e5, rope_type="default"))),
    "mixtral": ("MixtralConfig", dense(
        sliding_window=16, num_local_experts=8, num_experts_per_tok=2,
        rope_parameters=rope(1e6, rope_type="default"))),
    "qwen2moe": ("Qwen2MoeConfig", dense(
        num_experts=6, num_experts_per_tok=3, norm_topk_prob=False, moe_intermediate_size=40,
        shared_expert_intermediate_size=72, mlp_only_layers=[1], use_sliding_window=True,
        sliding_window=16, max_window_layers=2, tie_word_embeddings=True,
        rope_parameters=rope(1e4, **YARN))),
    "qwen3moe": ("Qwen3MoeConfig", dense(
        num_experts=16, num_experts_per_tok=4, norm_topk_prob=True, moe_intermediate_size=32,
        decoder_sparse_step=2, num_hidden_layers=4, head_dim=32, use_sliding_window=True,
        sliding_window=16, rope_parameters=rope(1e4, rope_type="default"))),
}


def uniform(name, count):
    """splitmix64, begun with the FNV-1a of the name; 24 bits each, from -1 up to 1."""
    seed = 0xcbf29ce484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001b3 % 2**64
    with numpy.errstate(over="ignore"):
        z = numpy.uint64(seed) + numpy.uint64(0x9e3779b97f4a7c15) * numpy.arange(
            1, count + 1, dtype=numpy.uint64)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xbf58476d1ce4e5b9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94d049bb133111eb)
        z = z ^ (z >> numpy.uint64(31))
    return (z >> numpy.uint64(40)).astype(numpy.float32) / numpy.float32(2**23) - numpy.float32(1)


def moments(name, shape, plus_one):
    """Base and scale of a tensor's numbers."""
    if name.endswith(".bias"):
        return 0, 0.25
    if len(shape) == 1:
        return (0 if plus_one else 1), 0.25
    inputs = shape[0] if ".c_" in name else shape[-1]
    if "embed" in name or name.split(".")[-2] in ("wte", "wpe"):
        inputs = 1
    return 0, float("%.6g" % (3 / inputs) ** 0.5)


def tensors_of(name, model):
    plus_one = name.startswith("gemma")
    kept, seen = [], set()
    for key, value in model.state_dict().items():
        if value.data_ptr() not in seen and value.dtype == torch.float32:
            seen.add(value.data_ptr())
            kept.append((key, *moments(key, value.shape, plus_one), tuple(value.shape)))
    return kept


def make(name):
    kind, arguments = MODELS[name]
    config = getattr(transformers, kind)(**arguments)
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    tensors = tensors_of(name, model)
    weights = {}
    for key, base, scale, shape in tensors:
        count = int(numpy.prod(shape))
        weights[key] = (numpy.float32(scale) * uniform(key, count)
                        + numpy.float32(base)).reshape(shape)
    model.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()}, strict=False)
    model.tie_weights()
    config.architectures = [type(model).__name__]
    return model, config, tensors, weights


def ids_of(name):
    numbers = uniform(name + ".ids", PROMPT + DECODED)
    return [3 + int((x + 1) / 2 * (VOCABULARY - 3)) for x in numbers]


@torch.no_grad()
def logits_of(model, ids):
    """The prompt at once, then a token at a time."""
    out = model(torch.tensor([ids[:PROMPT]]), use_cache=True)
    rows, cache = [out.logits[0]], out.past_key_values
    for token in ids[PROMPT:]:
        out = model(torch.tensor([[token]]), past_key_values=cache, use_cache=True)
        rows.append(out.logits[0])
        cache = out.past_key_values
    return torch.cat(rows).numpy()


def config_text(config):
    return json.dumps({k: v for k, v in config.to_diff_dict().items()}, indent=2,
                      sort_keys=True) + "\n"


def write(name):
    model, config, tensors, _ = make(name)
    folder = os.path.join(FOLDER, name)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w") as out:
        out.write(config_text(config))
    with open(os.path.join(folder, "tensors.txt"), "w") as out:
        for key, base, scale, shape in tensors:
            print(key, base, scale, *shape, file=out)
    ids = ids_of(name)
    logits = logits_of(model, ids)
    with open(os.path.join(folder, "golden.txt"), "w") as out:
        print("# Float32 logits of transformers, made by tests/e2e/architectures/make.py", file=out)
        print("ids " + ",".join(map(str, ids)), file=out)
        print("shape", *logits.shape, file=out)
        for row in ROWS:
            for column in COLUMNS:
                print(row, column, "%.9g" % logits[row, column], file=out)


def relative(have, want):
    return float(numpy.linalg.norm(have - want) / numpy.linalg.norm(want))


SETTINGS = [
    (1e-5, ["-O0", "--target=ref", "--kv=f32"]),
    (1e-5, ["--target=ref", "--kv=f32", "--act=f32"]),
    (1e-5, ["--kv=f32", "--act=f32"]),
]


def check(programs, name):
    model, config, _, weights = make(name)
    ids = ids_of(name)
    want = logits_of(model, ids)
    good = True
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "config.json"), "w") as out:
            out.write(config_text(config))
        save_file(weights, os.path.join(folder, "model.safetensors"))
        plan, file = os.path.join(folder, "m.plan"), os.path.join(folder, "l.npy")
        for bound, options in SETTINGS:
            made = subprocess.run([programs + "/graphc", folder, *options, "-o", plan],
                                  capture_output=True, text=True)
            if made.returncode:
                print(name, *options, made.stderr.strip())
                return False
            same = []
            for chunk in ("64", "1"):
                subprocess.run([programs + "/graphrun", plan, "--ids", ",".join(map(str, ids)),
                                "--chunk", chunk, "--logits", file], check=True)
                same.append(numpy.load(file))
            errors = relative(same[0][:PROMPT], want[:PROMPT]), relative(same[0][PROMPT:],
                                                                          want[PROMPT:])
            equal = numpy.array_equal(*same)
            good = good and max(errors) <= bound and equal
            print("%-14s %-36s prompt %.2e decode %.2e of %g%s" % (
                name, " ".join(options), *errors, bound, "" if equal else " CHUNKS DIFFER"))
    return good


def main():
    arguments = sys.argv[1:]
    if arguments[:1] == ["--check"]:
        names = arguments[2:] or list(MODELS)
        sys.exit(0 if all([check(arguments[1], name) for name in names]) else 1)
    for name in arguments or list(MODELS):
        write(name)


main()
