#!/usr/bin/env python3
"""llama.cpp's logits of every token: llama_logits.py MODEL.gguf IDS OUT.npy (llama-cpp-python)."""
import sys

import llama_cpp
import numpy


def main():
    path, ids, out = sys.argv[1:]
    tokens = [int(word) for word in ids.split(",")]
    llama = llama_cpp.Llama(path, n_ctx=len(tokens) + 8, n_batch=512, n_threads=2, logits_all=True,
                            verbose=False)
    llama.eval(tokens)
    numpy.save(out, numpy.asarray(llama.scores[:len(tokens)], dtype=numpy.float32))


if __name__ == "__main__":
    main()
