#!/usr/bin/env python3
"""Compares a GGUF file of graphquant with one of llama.cpp's converter.

    converter.py LLAMA_CPP FOLDER TYPE OURS.gguf THEIRS.gguf

Runs LLAMA_CPP/convert_hf_to_gguf.py on FOLDER, then wants every tensor equal to the byte and every
key equal, but for those that tools/README.md lists. Prints what differs; exit 1 if anything does.
"""
import fnmatch
import json
import pathlib
import sys

llama_cpp, folder, kind, ours, theirs = sys.argv[1:]
sys.path[:0] = [llama_cpp + "/gguf-py", llama_cpp]
import convert_hf_to_gguf  # noqa: E402
from conversion.base import ModelBase  # noqa: E402
from gguf import GGUFReader  # noqa: E402

# Keys that may differ, be ours alone, or be theirs alone. Scores of a tokenizer.json follow from
# its merges here; the converter takes them from a tokenizer.model or has none.
DIFFER = ["general.name", "tokenizer.ggml.scores", "tokenizer.ggml.token_type"]
OURS = ["*.attention.sliding_window_pattern", "llama.attention.sliding_window", "*.attention.scale",
        "*.rope.freq_base", "*.expert_weights_norm", "*.no_rope_layer*", "*.rope.scaling.truncate",
        "*.rope.scaling.mscale*", "*.hidden_act*", "*.activation_function", "*.scale_attn_*",
        "general.file_type", "tokenizer.ggml.*_token*"]
THEIRS = ["*.attention.key_length", "*.attention.value_length", "tokenizer.ggml.add_sep_token",
          "tokenizer.ggml.eot_token_id", "tokenizer.ggml.add_space_prefix"]


def convert():
    """The converter, given also what config.json says under names that transformers has renamed."""
    load = ModelBase.load_hparams

    def both(path, *rest, **more):
        raw = json.loads((pathlib.Path(path) / "config.json").read_text())
        return {**raw, **load(path, *rest, **more)}
    ModelBase.load_hparams = staticmethod(both)
    sys.argv[1:] = [folder, "--outtype", kind, "--outfile", theirs]
    convert_hf_to_gguf.main()


def fields(reader):
    return {key: ([t.name for t in field.types], field.contents())
            for key, field in reader.fields.items() if not key.startswith("GGUF.")}


def matches(key, patterns):
    return any(fnmatch.fnmatch(key, pattern) for pattern in patterns)


def main():
    convert()
    a, b = GGUFReader(ours), GGUFReader(theirs)
    said = []
    one, other = fields(a), fields(b)
    for key in sorted(one.keys() | other.keys()):
        if key not in other:
            said += [] if matches(key, OURS) else ["key %s is ours alone" % key]
        elif key not in one:
            said += [] if matches(key, THEIRS) else ["key %s is theirs alone" % key]
        elif one[key] != other[key] and not matches(key, DIFFER):
            said.append("key %s: %.60s and %.60s" % (key, one[key], other[key]))
    one, other = ({t.name: t for t in reader.tensors} for reader in (a, b))
    for name in sorted(one.keys() ^ other.keys()):
        said.append("tensor %s is in one file only" % name)
    for name in sorted(one.keys() & other.keys()):
        t, u = one[name], other[name]
        if t.tensor_type != u.tensor_type or list(t.shape) != list(u.shape):
            said.append("tensor %s: type or shape" % name)
        elif t.data.tobytes() != u.data.tobytes():
            said.append("tensor %s: bytes" % name)
    print("\n".join(said) or "%d tensors and the keys agree" % len(one))
    sys.exit(1 if said else 0)


main()
