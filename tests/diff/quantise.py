#!/usr/bin/env python3
"""Compares the tensors, their types and general.file_type of two GGUF files. Needs PyPI's gguf.

    quantise.py OURS.gguf THEIRS.gguf     prints what differs; exit 1 if anything does
"""
import sys

from gguf import GGUFReader


def main():
    ours, theirs = (GGUFReader(path) for path in sys.argv[1:])
    said = []
    numbers = [reader.fields["general.file_type"].contents() for reader in (ours, theirs)]
    if numbers[0] != numbers[1]:
        said.append("general.file_type: %d and %d" % tuple(numbers))
    one, other = ({t.name: t for t in reader.tensors} for reader in (ours, theirs))
    for name in sorted(one.keys() ^ other.keys()):
        said.append("%s is in one file only" % name)
    for name in sorted(one.keys() & other.keys()):
        t, u = one[name], other[name]
        if t.tensor_type != u.tensor_type:
            said.append("%s: %s and %s" % (name, t.tensor_type.name, u.tensor_type.name))
        elif t.data.tobytes() != u.data.tobytes():
            said.append("%s (%s): bytes" % (name, t.tensor_type.name))
    print("\n".join(said) or "%d tensors agree" % len(one))
    sys.exit(1 if said else 0)


main()
