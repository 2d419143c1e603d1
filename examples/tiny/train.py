"""Train tiny.gguf: a llama model of two million weights that tells the stories of stories.py.

The run is deterministic: fixed seeds, a fixed number of steps, no data but stories.py.

Usage: python train.py [--out tiny.gguf] [--f32 twin.gguf]
Needs: pip install torch numpy sentencepiece gguf
"""

from __future__ import annotations

import argparse
import io
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

import gguf
import numpy as np
import sentencepiece as spm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stories import stories

SEED = 1
HELD_OUT_SEED = 2
STORIES = 60_000
HELD_OUT_STORIES = 500
STEPS = 1600
WARMUP = 100
ROWS = 8
PEAK_RATE = 2e-3
FINAL_RATE = 2e-5
REPORT_EVERY = 100


@dataclass(frozen=True)
class Config:
    """The shape of the model."""

    vocab: int = 1024
    context: int = 512
    embd: int = 256
    ffn: int = 512
    layers: int = 3
    heads: int = 4
    kv_heads: int = 2
    eps: float = 1e-5
    rope_base: float = 10000.0

    @property
    def head_dim(self) -> int:
        return self.embd // self.heads


class Attention(nn.Module):
    """Causal attention with grouped key/value heads and rotary positions.

    Rotation pairs element i with i + head_dim / 2; write_gguf reorders the rows of q and k for
    readers that pair neighbours.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        kv_embd = config.kv_heads * config.head_dim
        self.q = nn.Linear(config.embd, config.embd, bias=False)
        self.k = nn.Linear(config.embd, kv_embd, bias=False)
        self.v = nn.Linear(config.embd, kv_embd, bias=False)
        self.output = nn.Linear(config.embd, config.embd, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        def split(y: Tensor) -> Tensor:
            return y.unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)

        def rotate(y: Tensor) -> Tensor:
            low, high = y.chunk(2, dim=-1)
            return torch.cat((low * cos - high * sin, high * cos + low * sin), dim=-1)

        q, k, v = rotate(split(self.q(x))), rotate(split(self.k(x))), split(self.v(x))
        share = self.config.heads // self.config.kv_heads
        k, v = k.repeat_interleave(share, dim=1), v.repeat_interleave(share, dim=1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.output(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """One transformer layer: attention and a gated feed-forward network, both residual."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attn_norm = nn.RMSNorm(config.embd, config.eps)
        self.attn = Attention(config)
        self.ffn_norm = nn.RMSNorm(config.embd, config.eps)
        self.gate = nn.Linear(config.embd, config.ffn, bias=False)
        self.up = nn.Linear(config.embd, config.ffn, bias=False)
        self.down = nn.Linear(config.ffn, config.embd, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attn(self.attn_norm(x), cos, sin)
        y = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Llama(nn.Module):
    """A llama model whose output layer is its token embedding."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embd = nn.Embedding(config.vocab, config.embd)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.embd, config.eps)
        exponents = torch.arange(0, config.head_dim, 2) / config.head_dim
        angles = torch.outer(torch.arange(config.context), config.rope_base**-exponents)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                residual = name.endswith(("output.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * config.layers if residual else 1))

    def forward(self, tokens: Tensor) -> Tensor:
        cos, sin = self.cos[: tokens.shape[1]], self.sin[: tokens.shape[1]]
        x = self.embd(tokens)
        for block in self.blocks:
            x = block(x, cos, sin)
        return F.linear(self.norm(x), self.embd.weight)


def train_tokenizer(texts: Iterable[str], vocab: int) -> spm.SentencePieceProcessor:
    """Train a byte-fallback BPE tokenizer that leaves the text as it is."""
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocab,
        byte_fallback=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=True,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        num_threads=1,
        minloglevel=1,
    )
    return spm.SentencePieceProcessor(model_proto=model.getvalue())


def pack(tokenizer: spm.SentencePieceProcessor, texts: list[str], context: int) -> Tensor:
    """Lay stories, each within <s> and </s>, end to end in rows of context + 1 tokens."""
    encoded = tokenizer.encode(texts, add_bos=True, add_eos=True)
    flat = torch.tensor([token for story in encoded for token in story])
    return flat[: len(flat) // (context + 1) * (context + 1)].view(-1, context + 1)


def loss_of(model: Llama, rows: Tensor) -> Tensor:
    """Mean cross-entropy, in nats per token, of predicting each next token of the rows."""
    return F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())


@torch.no_grad()
def held_out_loss(model: Llama, rows: Tensor) -> float:
    """The mean loss over rows that training never sees."""
    batches = rows.split(ROWS)
    total = sum(loss_of(model, batch).item() * len(batch) for batch in batches)
    return total / len(rows)


def learning_rate(step: int) -> float:
    """Linear warm-up, then a cosine from PEAK_RATE down to FINAL_RATE."""
    if step < WARMUP:
        return PEAK_RATE * (step + 1) / WARMUP
    progress = (step - WARMUP) / (STEPS - WARMUP)
    return FINAL_RATE + (PEAK_RATE - FINAL_RATE) * (1 + math.cos(math.pi * progress)) / 2


def train(model: Llama, rows: Tensor, held_out: Tensor) -> None:
    """Run STEPS of AdamW over shuffled rows, none seen twice, printing the loss as it falls."""
    matrices = [weight for weight in model.parameters() if weight.dim() == 2]
    norms = [weight for weight in model.parameters() if weight.dim() == 1]
    groups = [{"params": matrices}, {"params": norms, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=0.1)
    start = time.monotonic()
    order = torch.randperm(len(rows))[: STEPS * ROWS].view(STEPS, ROWS)
    for step, picks in enumerate(order):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        loss = loss_of(model, rows[picks])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % REPORT_EVERY == 0:
            seconds = time.monotonic() - start
            print(f"step {step + 1}/{STEPS}  loss {loss.item():.4f}  {seconds:.0f} s", flush=True)
    print(f"held-out loss {held_out_loss(model, held_out):.4f} nats per token", flush=True)


def gguf_tensors(model: Llama) -> dict[str, np.ndarray]:
    """The weights under GGUF names, q and k in the row order of rotary neighbours."""

    def neighbours(weight: Tensor, heads: int) -> Tensor:
        halves = weight.view(heads, 2, -1, weight.shape[1])
        return halves.transpose(1, 2).reshape(weight.shape)

    config = model.config
    weights = {"token_embd": model.embd.weight, "output_norm": model.norm.weight}
    for index, block in enumerate(model.blocks):
        weights |= {
            f"blk.{index}.{name}": weight
            for name, weight in {
                "attn_norm": block.attn_norm.weight,
                "attn_q": neighbours(block.attn.q.weight, config.heads),
                "attn_k": neighbours(block.attn.k.weight, config.kv_heads),
                "attn_v": block.attn.v.weight,
                "attn_output": block.attn.output.weight,
                "ffn_norm": block.ffn_norm.weight,
                "ffn_gate": block.gate.weight,
                "ffn_up": block.up.weight,
                "ffn_down": block.down.weight,
            }.items()
        }
    return {f"{name}.weight": weight.detach().numpy() for name, weight in weights.items()}


def add_tokenizer(writer: gguf.GGUFWriter, tokenizer: spm.SentencePieceProcessor) -> None:
    """Describe the tokenizer in the metadata of a GGUF file."""

    def kind(token: int) -> gguf.TokenType:
        if tokenizer.is_unknown(token):
            return gguf.TokenType.UNKNOWN
        if tokenizer.is_control(token):
            return gguf.TokenType.CONTROL
        return gguf.TokenType.BYTE if tokenizer.is_byte(token) else gguf.TokenType.NORMAL

    tokens = range(tokenizer.vocab_size())
    writer.add_tokenizer_model("llama")
    writer.add_token_list([tokenizer.id_to_piece(token) for token in tokens])
    writer.add_token_scores([tokenizer.get_score(token) for token in tokens])
    writer.add_token_types([kind(token) for token in tokens])
    writer.add_bos_token_id(tokenizer.bos_id())
    writer.add_eos_token_id(tokenizer.eos_id())
    writer.add_unk_token_id(tokenizer.unk_id())
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(True)


def write_gguf(
    path: str, model: Llama, tokenizer: spm.SentencePieceProcessor, kind: gguf.LlamaFileType
) -> None:
    """Write the model as GGUF: norms in F32, matrices in F32 or Q8_0."""
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("graphc tiny stories")
    writer.add_license("MIT")
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_file_type(kind)
    writer.add_custom_alignment(gguf.GGUF_DEFAULT_ALIGNMENT)
    writer.add_vocab_size(config.vocab)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.embd)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.ffn)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_layer_norm_rms_eps(config.eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_base)
    add_tokenizer(writer, tokenizer)
    for name, weight in gguf_tensors(model).items():
        if weight.ndim == 2 and kind == gguf.LlamaFileType.MOSTLY_Q8_0:
            q8_0 = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(weight, q8_0), raw_dtype=q8_0)
        else:
            writer.add_tensor(name, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Train the tokenizer and the model, then write the file."""
    parser = argparse.ArgumentParser(description="Train the model of examples/tiny.")
    parser.add_argument("--out", default="tiny.gguf", help="the Q8_0 model (default: tiny.gguf)")
    parser.add_argument("--f32", help="also write the same weights, not quantised, to this file")
    args = parser.parse_args()

    torch.manual_seed(SEED)
    config = Config()
    texts = list(stories(STORIES, SEED))
    tokenizer = train_tokenizer(texts, config.vocab)
    rows = pack(tokenizer, texts, config.context)
    held_out = pack(tokenizer, list(stories(HELD_OUT_STORIES, HELD_OUT_SEED)), config.context)
    model = Llama(config)
    count = sum(weight.numel() for weight in model.parameters())
    print(f"{count} weights, {rows.numel()} training tokens, {held_out.numel()} held out")
    train(model, rows, held_out)
    write_gguf(args.out, model, tokenizer, gguf.LlamaFileType.MOSTLY_Q8_0)
    if args.f32:
        write_gguf(args.f32, model, tokenizer, gguf.LlamaFileType.ALL_F32)


if __name__ == "__main__":
    main()
