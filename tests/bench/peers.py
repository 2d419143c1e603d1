#!/usr/bin/env python3
"""One model file through graphrun and through other engines, turn by turn in one run.

usage: peers.py --graphrun PROGRAM --name NAME --tests pp512,tg64 --repeats N MODEL.gguf MODEL.plan
                [LLAMA-BENCH …]

The engines are llama-cpp-python, where this Python has it, and programs that take the options of
llama-bench. Each runs in its best mode: all threads, mapped file, its own repacking, flash
attention on or off, whichever gives the higher median. A line a test and engine: medians in tokens
a second, and graphrun's over the engine's.
"""
import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time

THREADS = len(os.sched_getaffinity(0))
CHUNK = 512
TEST = re.compile(r"(pp|tg)([0-9]+)(?:@([0-9]+))?(?:x([0-9]+))?")


def parse_test(word):
    match = TEST.fullmatch(word)
    if not match:
        sys.exit(f"peers.py: \"{word}\" is no test: ppN, tgN, with @D and xB")
    return match[1], int(match[2]), int(match[3] or 0), int(match[4] or 1)


class Graphrun:
    def __init__(self, program, plan):
        self.command = [program, plan, "-t", str(THREADS), "-r", "1", "--json", "--bench"]

    def rate(self, test):
        told = subprocess.run(self.command + [test], check=True, stdout=subprocess.PIPE)
        return json.loads(told.stdout)["tests"][0]["tokens_per_second"]["median"]


class LlamaBench:
    """A program with the options and the JSON of llama-bench."""

    def __init__(self, program, model, flash):
        self.name = f"{os.path.basename(os.path.dirname(os.path.dirname(program)))} fa={flash}"
        self.command = [program, "-m", model, "-t", str(THREADS), "-r", "1", "-o", "json",
                        "-fa", str(flash)]

    def rate(self, test):
        kind, tokens, depth, sequences = parse_test(test)
        if sequences > 1:
            return None  # it has no such test
        counts = ["-p", str(tokens), "-n", "0"] if kind == "pp" else ["-p", "0", "-n", str(tokens)]
        counts += ["-d", str(depth)] if depth else []
        told = subprocess.run(self.command + counts, check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
        return json.loads(told.stdout)[0]["avg_ts"]


class LlamaCpp:
    """llama-cpp-python, through the library's own functions: only a loop between tokens."""

    def __init__(self, library, model, flash, context, sequences):
        self.lib = lib = library.llama_cpp
        self.name = f"llama-cpp-python {library.__version__} fa={flash}"
        loaded = lib.llama_model_load_from_file(model.encode(), lib.llama_model_default_params())
        options = lib.llama_context_default_params()
        options.n_ctx, options.n_seq_max = context * sequences, sequences
        options.n_batch = options.n_ubatch = CHUNK
        options.n_threads = options.n_threads_batch = THREADS
        options.flash_attn_type = flash
        self.context = lib.llama_init_from_model(loaded, options)
        if not self.context:
            sys.exit(f"peers.py: {self.name}: no context of {options.n_ctx} tokens")
        self.batch = lib.llama_batch_init(CHUNK, 0, 1)
        self.vocabulary = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(loaded))

    def step(self, position, count, sequences):
        """`count` tokens of each sequence from `position` on; logits of the last of each."""
        batch = self.batch
        batch.n_tokens = count * sequences
        for i in range(batch.n_tokens):
            batch.token[i] = random.randrange(self.vocabulary)
            batch.pos[i] = position + i % count
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, i // count
            batch.logits[i] = i % count == count - 1
        if self.lib.llama_decode(self.context, batch):
            sys.exit(f"peers.py: {self.name}: llama_decode fails")

    def advance(self, begin, end, chunk, sequences):
        for position in range(begin, end, chunk):
            self.step(position, min(chunk, end - position), sequences)

    def rate(self, test):
        kind, tokens, depth, sequences = parse_test(test)
        chunk = CHUNK // sequences
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)
        self.advance(0, depth, chunk, sequences)
        begin = time.perf_counter()
        self.advance(depth, depth + tokens, chunk if kind == "pp" else 1, sequences)
        self.lib.llama_synchronize(self.context)
        return tokens * sequences / (time.perf_counter() - begin)


def find_peers(arguments, context, sequences):
    peers = [LlamaBench(program, arguments.model, flash)
             for program in arguments.programs for flash in (0, 1)]
    try:
        import llama_cpp
    except ImportError:
        if not peers:
            print("skip: bench-peers: needs a Python (PYTHON) with llama-cpp-python, or PEERS",
                  file=sys.stderr)
            sys.exit(0)
        return peers
    silence = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(silence, None)
    LlamaCpp.silence = silence  # called for as long as the library is
    return peers + [LlamaCpp(llama_cpp, arguments.model, flash, context, sequences)
                    for flash in (0, 1)]


def run_test(test, repeats, ours, peers, name):
    rates = {engine: [] for engine in [ours] + peers}
    for repeat in range(repeats + 1):
        for engine, kept in rates.items():
            rate = engine.rate(test)
            if repeat:  # the first round warms up
                kept.append(rate)
    mine = statistics.median(rates[ours])
    for peer in peers:
        if None in rates[peer]:
            continue
        theirs = statistics.median(rates[peer])
        print(f"{name:24} {test:12} {mine:10.1f} {theirs:10.1f} {mine / theirs:8.2f}  {peer.name}",
              flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--graphrun", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--tests", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("model")
    parser.add_argument("plan")
    parser.add_argument("programs", nargs="*")
    arguments = parser.parse_args()
    tests = arguments.tests.split(",")
    parsed = [parse_test(test) for test in tests]
    context = max(depth + tokens for _, tokens, depth, _ in parsed)
    peers = find_peers(arguments, context + 8, max(sequences for *_, sequences in parsed))
    ours = Graphrun(arguments.graphrun, arguments.plan)
    print(f"{'model':24} {'test':12} {'graphrun':>10} {'peer':>10} {'ratio':>8}  "
          f"peer, {THREADS} threads")
    for test in tests:
        run_test(test, arguments.repeats, ours, peers, arguments.name)


if __name__ == "__main__":
    main()
