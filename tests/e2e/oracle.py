#!/usr/bin/env python3
"""An independent llama: GGUF in, float64 logits out, in NumPy, to compare graphc with.

It shares nothing with the compiler: its own GGUF reader, its own dequantisation, no KV cache (the
whole sequence is computed at once), every sum in float64 on the dequantised weights. Slow and
plain on purpose.

    oracle.py MODEL.gguf --ids 1,80,147 --logits out.npy    float32 logits [tokens, vocabulary]
    oracle.py MODEL.gguf --ids FILE --golden >X.golden      the digest that compare.c reads
    oracle.py MODEL.gguf --prompt "Once upon" --greedy 32   text and ids of a continuation
    oracle.py MODEL.gguf --prompt TEXT --tokens N           the first N ids of a text
    oracle.py MODEL.gguf --prompt @FILE --perplexity N      mean negative log-likelihood, in
                                                            chunks of N tokens

--like-defaults rounds what graphc's default options round, and nothing else: keys and values to
half precision, the input of a matrix with quantised weights to 8 bits in blocks of 32 (256 for
Q6_K). The other sums stay in float64, so a difference is an error of the compiler, up to roundings
that fall the other way.

Without --no-bos a prompt begins with the model's BOS. Tokenizing is SentencePiece BPE without the
parsing of special tokens, quadratic: good for prompts, not for books.
"""
import argparse
import os
import struct
import sys

# The matrices are small: threads would cost more than they bring.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np  # noqa: E402

# --- GGUF

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?",
           10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9

# type number: name, elements of a block, bytes of a block
TENSOR_TYPES = {0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 8: ("Q8_0", 32, 34),
                14: ("Q6_K", 256, 210), 30: ("BF16", 1, 2)}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def scalar(self, code):
        (value,) = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def string(self):
        length = self.scalar("Q")
        self.at += length
        return self.data[self.at - length:self.at]

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            inner, count = self.scalar("I"), self.scalar("Q")
            return [self.value(inner) for _ in range(count)]
        return self.scalar(SCALARS[kind])


def load_gguf(path):
    """(metadata, weights, types) by name; weights are float64, matrices [rows, columns]."""
    with open(path, "rb") as file:
        data = file.read()
    reader = Reader(data)
    magic, version = data[:4], struct.unpack_from("<I", data, 4)[0]
    if magic != b"GGUF" or version not in (2, 3):
        sys.exit(f"{path}: not a GGUF file of version 2 or 3")
    reader.at = 8
    tensor_count, metadata_count = reader.scalar("Q"), reader.scalar("Q")
    metadata = {}
    for _ in range(metadata_count):
        key = reader.string().decode()
        metadata[key] = reader.value(reader.scalar("I"))
    infos = []
    for _ in range(tensor_count):
        name = reader.string().decode()
        dims = [reader.scalar("Q") for _ in range(reader.scalar("I"))]
        infos.append((name, dims[::-1], reader.scalar("I"), reader.scalar("Q")))
    alignment = metadata.get("general.alignment", 32)
    base = -(-reader.at // alignment) * alignment
    weights = {name: dequantise(data, base + offset, shape, kind)
               for name, shape, kind, offset in infos}
    return metadata, weights, {name: TENSOR_TYPES[kind][0] for name, _, kind, _ in infos}


def halves(raw):
    """Bytes [n, 2] to float64 [n], as IEEE half precision."""
    return np.ascontiguousarray(raw).view("<f2")[:, 0].astype(np.float64)


def from_q8_0(blocks):
    """A half as scale, then 32 signed bytes."""
    return halves(blocks[:, :2])[:, None] * blocks[:, 2:].view(np.int8).astype(np.float64)


def from_q4_0(blocks):
    """A half as scale, then 16 bytes: low nibbles are elements 0-15, high ones 16-31; minus 8."""
    nibbles = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
    return halves(blocks[:, :2])[:, None] * (nibbles.astype(np.float64) - 8)


def from_q6_k(blocks):
    """128 bytes of low nibbles, 64 of upper bit pairs, 16 signed scales, a half; minus 32.

    Each half of the block takes 64 low bytes and 32 upper bytes for four runs of 32 elements: run j
    has the nibbles of bytes 0-31 or 32-63 (odd j), low (j < 2) or high, and bits 2j, 2j+1 of the
    upper bytes. A scale serves 16 elements.
    """
    count = len(blocks)
    quants = np.empty((count, 256), np.float64)
    for half in range(2):
        low, upper = blocks[:, half * 64:half * 64 + 64], blocks[:, 128 + half * 32:160 + half * 32]
        for run in range(4):
            nibble = low[:, run % 2 * 32:run % 2 * 32 + 32] >> (run // 2 * 4) & 15
            start = half * 128 + run * 32
            bits = nibble | (upper >> (2 * run) & 3) << 4
            quants[:, start:start + 32] = bits.astype(np.float64) - 32
    scales = blocks[:, 192:208].view(np.int8).astype(np.float64)
    return halves(blocks[:, 208:])[:, None] * np.repeat(scales, 16, axis=1) * quants


def dequantise(data, offset, shape, kind):
    if kind not in TENSOR_TYPES:
        sys.exit(f"tensor type {kind} is not one that the oracle reads")
    name, block, block_bytes = TENSOR_TYPES[kind]
    count = int(np.prod(shape))
    raw = np.frombuffer(data, np.uint8, count // block * block_bytes, offset)
    if name == "F32":
        flat = raw.view("<f4").astype(np.float64)
    elif name == "F16":
        flat = raw.view("<f2").astype(np.float64)
    elif name == "BF16":
        flat = (raw.view("<u2").astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    else:
        convert = {"Q8_0": from_q8_0, "Q4_0": from_q4_0, "Q6_K": from_q6_k}[name]
        flat = convert(raw.reshape(-1, block_bytes))
    return flat.reshape(shape)


# --- the model


def eight_bits(x, block):
    """x rounded to multiples of largest / 127 in each block along the row, to nearest even."""
    blocks = x.reshape(-1, block)
    step = np.abs(blocks).max(axis=1, keepdims=True) / 127
    return (np.rint(blocks / np.where(step > 0, step, 1)) * step).reshape(x.shape)


class Llama:
    def __init__(self, path, like_defaults=False):
        self.metadata, self.weights, self.types = load_gguf(path)
        self.like_defaults = like_defaults
        get = self.hyperparameter
        self.heads = get("attention.head_count")
        self.kv_heads = get("attention.head_count_kv", self.heads)
        self.head_dim = get("attention.key_length", get("embedding_length") // self.heads)
        self.eps = get("attention.layer_norm_rms_epsilon")
        self.rope_dims = get("rope.dimension_count", self.head_dim)
        self.theta = get("rope.freq_base", 10000.0)
        self.window = get("attention.sliding_window", 0)
        linear = get("rope.scaling.type", b"linear") == b"linear"
        self.stretch = get("rope.scaling.factor", get("rope.scale_linear", 1.0)) if linear else 1.0

    def hyperparameter(self, key, default=None):
        value = self.metadata.get("llama." + key, default)
        if value is None:
            sys.exit(f"the file has no llama.{key}: is it a llama?")
        return value

    def linear(self, x, name):
        block = {"Q8_0": 32, "Q4_0": 32, "Q6_K": 256}.get(self.types[name])
        if self.like_defaults and block:
            x = eight_bits(x, block)
        return x @ self.weights[name].T

    def stored(self, x):
        return x.astype(np.float16).astype(np.float64) if self.like_defaults else x

    def norm(self, x, name):
        return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + self.eps) * self.weights[name]

    def rotate(self, x):
        """x [tokens, heads, d]: pairs (2i, 2i+1) turn by position * theta^(-2i/dims) / factor."""
        pairs = self.rope_dims // 2
        frequencies = float(self.theta) ** (-2.0 * np.arange(pairs) / self.rope_dims)
        if "rope_freqs.weight" in self.weights:
            frequencies = frequencies / self.weights["rope_freqs.weight"]
        angle = (np.arange(len(x)) / (self.stretch or 1.0))[:, None] * frequencies
        cos, sin = np.cos(angle)[:, None, :], np.sin(angle)[:, None, :]
        even, odd = x[..., 0:2 * pairs:2], x[..., 1:2 * pairs:2]
        turned = x.copy()
        turned[..., 0:2 * pairs:2] = even * cos - odd * sin
        turned[..., 1:2 * pairs:2] = even * sin + odd * cos
        return turned

    def attend(self, q, k, v):
        """q [tokens, heads, d]; k, v [tokens, kv_heads, d]; head h reads KV head h / group."""
        tokens = len(q)
        group = self.heads // self.kv_heads
        k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
        scores = np.einsum("ihd,jhd->hij", q, k) / np.sqrt(self.head_dim)
        distance = np.arange(tokens)[:, None] - np.arange(tokens)[None, :]
        hidden = (distance < 0) | ((distance >= self.window) if self.window else False)
        scores = np.where(hidden, -np.inf, scores)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return np.einsum("hij,jhd->ihd", weights, v).reshape(tokens, -1)

    def forward(self, ids):
        """Logits, float64 [tokens, vocabulary]."""
        w, tokens = self.weights, len(ids)
        x = w["token_embd.weight"][ids]
        for layer in range(self.hyperparameter("block_count")):
            def linear(h, name):
                return self.linear(h, f"blk.{layer}.{name}.weight")

            h = self.norm(x, f"blk.{layer}.attn_norm.weight")
            q = self.rotate(linear(h, "attn_q").reshape(tokens, self.heads, -1))
            k = self.rotate(linear(h, "attn_k").reshape(tokens, self.kv_heads, -1))
            v = linear(h, "attn_v").reshape(tokens, self.kv_heads, -1)
            x = x + linear(self.attend(q, self.stored(k), self.stored(v)), "attn_output")
            h = self.norm(x, f"blk.{layer}.ffn_norm.weight")
            gate = linear(h, "ffn_gate")
            x = x + linear(gate / (1 + np.exp(-gate)) * linear(h, "ffn_up"), "ffn_down")
        head = "output.weight" if "output.weight" in w else "token_embd.weight"
        return self.linear(self.norm(x, "output_norm.weight"), head)


# --- text

SPACE = "\u2581".encode()


def tokenize(metadata, text, bos=True):
    """SentencePiece BPE: of neighbours that form a piece the best score merges, ties leftmost."""
    pieces = metadata["tokenizer.ggml.tokens"]
    scores = metadata["tokenizer.ggml.scores"]
    index = {piece: i for i, piece in enumerate(pieces)}
    if metadata.get("tokenizer.ggml.add_space_prefix", True) and text:
        text = " " + text
    parts = [c.encode() for c in text.replace(" ", SPACE.decode())]
    while True:
        found = [(-scores[index[a + b]], i) for i, (a, b) in enumerate(zip(parts, parts[1:]))
                 if a + b in index]
        if not found:
            break
        at = min(found)[1]
        parts[at:at + 2] = [parts[at] + parts[at + 1]]
    ids = []
    for part in parts:
        if part in index:
            ids.append(index[part])
        else:
            unknown = metadata.get("tokenizer.ggml.unknown_token_id", 0)
            ids.extend(index.get(b"<0x%02X>" % byte, unknown) for byte in part)
    if bos and metadata.get("tokenizer.ggml.add_bos_token", True):
        ids.insert(0, metadata["tokenizer.ggml.bos_token_id"])
    return ids


def detokenize(metadata, ids):
    pieces, kinds = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    control, byte = 3, 6
    out = b""
    for token in ids:
        if kinds[token] == byte:
            out += bytes([int(pieces[token][3:5], 16)])
        elif kinds[token] != control:
            out += pieces[token].replace(SPACE, b" ")
    return out.decode(errors="replace")


# --- what the options ask for


def greedy(llama, ids, count):
    """The likeliest tokens up to count or the end token, and the smallest gap to a runner-up."""
    new, gap = [], np.inf
    end = llama.metadata.get("tokenizer.ggml.eos_token_id", -1)
    while len(new) < count:
        logits = llama.forward(ids + new)[-1]
        first, second = np.argsort(-logits, kind="stable")[:2]
        gap = min(gap, logits[first] - logits[second])
        if first == end:
            break
        new.append(int(first))
    return new, gap


def perplexity(llama, ids, bos, size):
    """(tokens, mean): ids without BOS, cut in chunks of `size` that each begin with BOS again."""
    losses = []
    step = size - (1 if bos else 0)
    for begin in range(0, len(ids), step):
        chunk = bos + ids[begin:begin + step]
        logits = llama.forward(chunk)[:-1]
        most = logits.max(axis=-1)
        total = np.log(np.exp(logits - most[:, None]).sum(axis=-1)) + most
        losses.extend(total - logits[np.arange(len(logits)), chunk[1:]])
    return len(losses), np.mean(losses)


def digest_positions(rows, vocabulary):
    """(row, column) pairs: 32 columns of the last row, 6 of others, spread without a pattern."""
    others = sorted({(rows - 1) * i // 8 for i in range(8)} |
                    {r for r in (63, 64, 127, 128, 255, 256) if r < rows - 1})
    for row in others:
        for i in range(6):
            yield row, (row * 7919 + i * 104729) % vocabulary
    for i in range(32):
        yield rows - 1, (i * 104729 + 17) % vocabulary


def print_golden(path, ids, logits):
    print(f"# Float64 logits of {os.path.basename(path)}, made by tests/e2e/oracle.py "
          f"MODEL.gguf --ids ID,ID,… --golden")
    print("ids " + ",".join(map(str, ids)))
    print(f"shape {logits.shape[0]} {logits.shape[1]}")
    for row, column in digest_positions(*logits.shape):
        print(f"{row} {column} {logits[row, column]:.7f}")
    for row in sorted({row for row, _ in digest_positions(*logits.shape)}):
        best = int(np.argmax(logits[row]))
        print(f"{row} {best} {logits[row, best]:.7f}")


def parse_ids(text):
    if os.path.exists(text):
        with open(text) as file:
            text = next(line[4:] if line.startswith("ids ") else line
                        for line in file if not line.startswith("#"))
    return [int(word) for word in text.replace(",", " ").split()]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--ids", help="token ids, or a file with them (a golden file too)")
    parser.add_argument("--prompt", help="text, or @FILE")
    parser.add_argument("--no-bos", action="store_true")
    parser.add_argument("--tokens", type=int, metavar="N", help="print the first N ids")
    parser.add_argument("--logits", metavar="OUT.npy")
    parser.add_argument("--golden", action="store_true")
    parser.add_argument("--greedy", type=int, metavar="N")
    parser.add_argument("--perplexity", type=int, metavar="N")
    parser.add_argument("--like-defaults", action="store_true")
    options = parser.parse_args()
    llama = Llama(options.model, options.like_defaults)
    if options.ids:
        ids = parse_ids(options.ids)
    elif options.prompt is not None:
        text = options.prompt
        if text.startswith("@"):
            with open(text[1:]) as file:
                text = file.read()
        ids = tokenize(llama.metadata, text, not options.no_bos)
    else:
        parser.error("--ids or --prompt?")
    if options.tokens is not None:
        print(",".join(map(str, ids[:options.tokens])))
    if options.logits:
        np.save(options.logits, llama.forward(ids).astype("<f4"))
    if options.golden:
        print_golden(options.model, ids, llama.forward(ids))
    if options.perplexity:
        bos = tokenize(llama.metadata, "")
        print("%d %.6f" % perplexity(llama, ids[len(bos):], bos, options.perplexity))
    if options.greedy:
        new, gap = greedy(llama, ids, options.greedy)
        print(detokenize(llama.metadata, new))
        print("ids", ",".join(map(str, new)), f"(closest call {gap:.4f})", file=sys.stderr)


if __name__ == "__main__":
    main()
