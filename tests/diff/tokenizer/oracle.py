"""Random and real texts through Hugging Face's tokenizers and SentencePiece, against ours.

oracle.py DATA WORK CASES GRAPHC COUNT    COUNT texts a tokenizer; exit 1 where ids or text differ
oracle.py --bench DATA WORK CASES GRAPHC  megabytes a second on one thread, alternating, medians
"""
import json
import os
import random
import statistics
import struct
import subprocess
import sys
import time
import unicodedata

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
import sentencepiece
import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

GPT4 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def from_merges(vocab, merges, digits, normalizer=None, ignore_merges=False):
    """A tokenizer.json as the models have it, from vocabulary and merges."""
    pairs = [tuple(line.split(" ")) for line in open(merges, encoding="utf8").read().split("\n")
             if line and not line.startswith("#version")]
    model = models.BPE(json.load(open(vocab, encoding="utf8")), pairs, ignore_merges=ignore_merges)
    made = tokenizers.Tokenizer(model)
    if normalizer:
        made.normalizer = normalizer
    made.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(GPT4 % digits), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    made.decoder = decoders.ByteLevel()
    return made


class HuggingFace:
    """`decodes`: no, where its added tokens decode to their normalised text, ours to their own.
    `control`: pieces that its model makes of plain text and ours never does; `older`: characters
    that its older tables take for something else."""

    def __init__(self, tokenizer, decodes=True, control=(), older=frozenset()):
        self.tokenizer, self.decodes, self.control = tokenizer, decodes, control
        self.older = older

    def encode(self, text, parse):
        if not parse and any(piece in text for piece in self.control):
            return None
        if self.older and not self.older.isdisjoint(unicodedata.normalize("NFD", text)):
            return None
        self.tokenizer.encode_special_tokens = not parse
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids):
        return self.tokenizer.decode(ids, skip_special_tokens=True) if self.decodes else None


class SentencePiece:
    def __init__(self, path):
        self.model = sentencepiece.SentencePieceProcessor(model_file=path)

    def encode(self, text, parse):
        return None if parse else self.model.encode(text)

    def decode(self, ids):
        return None if self.model.unk_id() in ids else self.model.decode(ids)


def train_unigram(data, work, name, **options):
    """A small unigram model of real text."""
    prefix = os.path.join(work, name)
    sentencepiece.SentencePieceTrainer.train(
        input=data + "/text/wiki.test.raw", model_prefix=prefix, vocab_size=2000,
        model_type="unigram", minloglevel=2, num_threads=1, **options)
    return prefix + ".model"


def unigram_json(work, model):
    """The same pieces as a tokenizer.json of type Unigram."""
    pieces = sentencepiece.SentencePieceProcessor(model_file=model)
    scored = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(len(pieces))]
    made = tokenizers.Tokenizer(models.Unigram(scored, unk_id=pieces.unk_id(), byte_fallback=False))
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.add_special_tokens(["<s>", "</s>", "<unk>"])
    made.save(work + "/unigram.json")
    return work + "/unigram.json"


def with_steps(work, data):
    """Steps that the models' own files leave out."""
    made = tokenizers.Tokenizer.from_file(data + "/tokenizers/gpt2/tokenizer.json")
    made.normalizer = normalizers.Sequence([
        normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase(),
        normalizers.Strip(), normalizers.Replace(Regex(r"q+"), "k"), normalizers.Replace("zz", "z")])
    made.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation("contiguous"),
        pre_tokenizers.Split("e", "merged_with_previous"),
        pre_tokenizers.Split(Regex("[xy]"), "merged_with_next"),
        pre_tokenizers.Split(Regex("[a-m]+"), "isolated", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=True)])
    made.add_tokens([AddedToken("lone", single_word=True, normalized=False),
                     AddedToken("<L>", lstrip=True), AddedToken("<R>", rstrip=True),
                     AddedToken("Ünd", normalized=True)])
    made.save(work + "/steps.json")
    return work + "/steps.json"


def all_tokenizers(data, work):
    """name, what graphc reads, oracle, do texts come back as they were"""
    folder = data + "/tokenizers/"
    for name in "gpt2", "llama2", "phi-3-mini":
        path = folder + name + "/tokenizer.json"
        yield name, path, HuggingFace(tokenizers.Tokenizer.from_file(path)), name == "gpt2"
    qwen = from_merges(folder + "qwen2/vocab.json", folder + "qwen2/merges.txt", "",
                       normalizers.NFC())
    qwen.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    yield "qwen2 vocab.json", folder + "qwen2", HuggingFace(qwen), False
    qwen.save(work + "/qwen2.json")
    yield "qwen2 tokenizer.json", work + "/qwen2.json", HuggingFace(qwen), False
    llama = from_merges(folder + "llama3/encoder.json", folder + "llama3/vocab.bpe", "{1,3}",
                        ignore_merges=True)
    llama.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>"])
    llama.save(work + "/llama3.json")
    yield "llama3 tokenizer.json", work + "/llama3.json", HuggingFace(llama), True
    yield "llama3 tokenizer.model", folder + "llama3/tokenizer.model", HuggingFace(llama), True
    steps = with_steps(work, data)
    yield "steps", steps, HuggingFace(
        tokenizers.Tokenizer.from_file(steps), False, older=older_characters()), False
    for name, path in (("llama2 tokenizer.model", folder + "llama2/tokenizer.model"),
                       ("tok512.model", find(data + "/weights/stories260K", "tok512.model"))):
        yield name, path, SentencePiece(path), False
    nmt = train_unigram(data, work, "unigram")
    yield "unigram.model", nmt, SentencePiece(nmt), False
    plain = train_unigram(data, work, "bytes", byte_fallback=True, remove_extra_whitespaces=False,
                          normalization_rule_name="identity", user_defined_symbols=["<sep>", "▁▁"])
    yield "unigram.model bytes", plain, SentencePiece(plain), False
    path = unigram_json(work, nmt)
    yield ("unigram tokenizer.json", path,
           HuggingFace(tokenizers.Tokenizer.from_file(path), control=("<s>", "</s>", "<unk>")), False)


def older_characters():
    """Punctuation, marks and capitals that steps other than patterns do not know yet."""
    mark, point = normalizers.StripAccents(), pre_tokenizers.Punctuation("removed")
    differ = set()
    for i in range(0x80, 0x110000):
        c = chr(i)
        kind = unicodedata.category(c)
        if kind in ("Cs", "Cn", "Co"):
            continue
        if ((mark.normalize_str(c) == "") != (kind[0] == "M")
                or (point.pre_tokenize_str(c) == []) != (kind[0] == "P")):
            differ.add(c)
    print(f"steps: {len(differ)} code points are not yet marks or punctuation to the oracle")
    return frozenset(differ)


def find(folder, name):
    for root, _, files in os.walk(folder):
        if name in files:
            return os.path.join(root, name)
    sys.exit(f"{folder} has no {name}")


def agreed_characters():
    """Code points of which Python's tables (Unicode 14, as PCRE2's) and the oracle's say the same."""
    points = [chr(i) for i in range(0x110000) if not 0xD800 <= i < 0xE000]
    text = "".join(points)
    kinds = {c: unicodedata.category(c) for c in points}
    oracle = {}
    for kind in sorted(set(kinds.values()) - {"Cs", "Cn"}):
        split = pre_tokenizers.Split(Regex(r"\p{%s}" % kind), "removed", invert=True)
        for piece, _ in split.pre_tokenize_str(text):
            for c in piece:
                oracle[c] = kind
    known = [c for c in points if kinds[c] not in ("Cn", "Co")]
    differ = [c for c in known if oracle.get(c) != kinds[c]]
    listed = ", ".join(f"U+{ord(c):04X} {kinds[c]}/{oracle.get(c)}" for c in differ[:40])
    print(f"categories differ between the tables for {len(differ)} of {len(known)} code points"
          f"{': ' + listed if differ else ''}")
    gone = set(differ)
    return [c for c in known if c not in gone and c != "\0"]


def make_texts(data, count, seed):
    draw = random.Random(seed)
    real = open(data + "/text/wiki.test.raw", encoding="utf8").read()
    known = agreed_characters()
    blocks = [[c for c in known if ord(c) < limit] for limit in (0x80, 0x250, 0x3000, 0x20000)]
    bits = [" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "▁", "'s", "'LL", "'ve", "123", "12345",
            "<s>", "</s>", "<|end|>", "<|endoftext|>", "<|im_start|>", "<sep>", "lone", "<L>", "<R>",
            "Ünd", "<0x0A>", "<unk>", "zz", "qq", "e\u0301", "\U0001f469\u200d\U0001f52c", "ﬁ", "你好",
            "नमस्ते", "สวัสดี", "\u0085", "\u180e", "...", "!!", "$%", "aaaaaaaaaaaa", "=====", "xye"]
    for i in range(count):
        style = i % 4
        if style == 0:
            begin = draw.randrange(len(real) - 400)
            yield real[begin:begin + draw.randrange(1, 400)]
        elif style == 1:
            block = draw.choice(blocks)
            yield "".join(draw.choice(block) for _ in range(draw.randrange(1, 30)))
        elif style == 2:
            yield "".join(draw.choice(bits) for _ in range(draw.randrange(1, 12)))
        else:
            begin = draw.randrange(len(real) - 100)
            words = list(real[begin:begin + draw.randrange(1, 60)])
            for _ in range(draw.randrange(1, 6)):
                what = draw.choice((draw.choice(bits), draw.choice(known)))
                words.insert(draw.randrange(len(words) + 1), what)
            yield "".join(words)


def make_plan(graphc, path, work):
    plan = work + "/oracle.plan"
    subprocess.run([graphc, path, "--vocab-only", "-o", plan], check=True)
    return plan


def ours(cases, plan, texts, mode):
    given = b"".join(struct.pack("<I", len(t)) + t for t in (text.encode() for text in texts))
    out = subprocess.run([cases, plan, mode], input=given, stdout=subprocess.PIPE, check=True).stdout
    at = 0
    for _ in texts:
        (count,) = struct.unpack_from("<I", out, at)
        ids = list(struct.unpack_from(f"<{count}i", out, at + 4))
        at += 4 + 4 * count
        (length,) = struct.unpack_from("<I", out, at)
        yield ids, out[at + 4:at + 4 + length].decode()
        at += 4 + length


def compare(data, work, cases, graphc, count):
    failed = checked = 0
    texts = list(make_texts(data, count, 5))
    for name, path, oracle, lossless in all_tokenizers(data, work):
        plan = make_plan(graphc, path, work)
        bad = 0
        for mode in "plain", "parse":
            for text, (ids, back) in zip(texts, ours(cases, plan, texts, mode)):
                wanted = oracle.encode(text, mode == "parse")
                if wanted is None:
                    continue
                checked += 1
                same = ids == wanted
                if same and mode == "plain":
                    expected = text if lossless else oracle.decode(ids)
                    same = expected is None or back == expected
                if not same:
                    bad += 1
                    if bad <= 5:
                        print(f"FAIL {name} {mode} {text!r}:\n  ours   {ids} {back!r}\n"
                              f"  theirs {wanted} {oracle.decode(wanted)!r}")
        print(f"{name}: {bad} of {len(texts)} texts differ")
        failed += bad
    print(f"{checked} encodings compared, {failed} differ")
    return 1 if failed else 0


def bench(data, work, cases, graphc):
    path = data + "/text/wiki.test.raw"
    text = open(path, encoding="utf8").read()
    size = os.path.getsize(path) / 1e6
    for name, source, oracle, _ in all_tokenizers(data, work):
        plan = make_plan(graphc, source, work)
        mine, theirs = [], []
        for _ in range(7):
            out = subprocess.run([cases, plan, "bench", path, "2"], stdout=subprocess.PIPE,
                                 check=True).stdout.split()
            mine.append(float(out[2]))
            began = time.perf_counter()
            oracle.encode(text, isinstance(oracle, HuggingFace))
            theirs.append(time.perf_counter() - began)
        print(f"{name}: ours {size / statistics.median(mine):.2f} MB/s, "
              f"theirs {size / statistics.median(theirs):.2f} MB/s")
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "--bench":
        sys.exit(bench(*sys.argv[2:6]))
    sys.exit(compare(*sys.argv[1:5], int(sys.argv[5])))
