"""A byte-level BPE whose merges are learned from the world's own words, written as a Hugging Face tokenizer.json."""

import json
import random
import re
from functools import lru_cache

from skills import DRAW, SKILLS

PATTERN = r" ?[A-Za-z]+| ?[0-9]| ?[^\sA-Za-z0-9]|\s"
SPECIAL = ["<|bos|>", "<|eos|>"]


def byte_alphabet():
    """The printable character that stands for each byte (the byte-level convention of GPT-2)."""
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table = {b: chr(b) for b in printable}
    spare = 256
    for b in range(256):
        if b not in table:
            table[b] = chr(spare)
            spare += 1
    return table


ALPHABET = byte_alphabet()


def merge(symbols, left, right):
    out, i = [], 0
    while i < len(symbols):
        if i + 1 < len(symbols) and symbols[i] == left and symbols[i + 1] == right:
            out.append(left + right)
            i += 2
        else:
            out.append(symbols[i])
            i += 1
    return out


def learn(word_weights, vocab_size):
    tokens = SPECIAL + [ALPHABET[b] for b in range(256)]
    words = {w: [ALPHABET[b] for b in w.encode()] for w in word_weights}
    merges = []
    while len(tokens) < vocab_size:
        counts = {}
        for word, symbols in words.items():
            for pair in zip(symbols, symbols[1:]):
                counts[pair] = counts.get(pair, 0.0) + word_weights[word]
        if not counts:
            raise ValueError(f"the words allow only {len(tokens)} tokens, {vocab_size} were asked for")
        (left, right), _ = max(counts.items(), key=lambda item: (item[1], item[0]))
        merges.append((left, right))
        tokens.append(left + right)
        words = {w: merge(s, left, right) if left in s else s for w, s in words.items()}
    return tokens, merges


def word_weights(world):
    """Words of all documents. The exponent flattens the counts: a rare name deserves its own token as much as a common word."""
    counts = {}

    def feed(text, weight):
        for word in re.findall(PATTERN, text):
            counts[word] = counts.get(word, 0.0) + weight

    for fact in world.facts:
        feed(" ".join(f"Question: {q}\nAnswer: {fact.answer}\n" for q in fact.questions) + " " + " ".join(fact.statements), fact.popularity)
    rng = random.Random(0)
    for skill in SKILLS:
        for _ in range(3000):
            drawn = DRAW[skill](rng)
            feed(f"{drawn.statement} {drawn.question} {drawn.answer}", 0.3)
    for digit in "0123456789":
        counts[digit] = counts[" " + digit] = 1e3
    return {word: count**0.35 for word, count in counts.items()}


class Tokenizer:
    def __init__(self, tokens, merges):
        self.tokens, self.merges = tokens, merges
        self._ids = {t: i for i, t in enumerate(tokens)}
        self._ranks = {pair: i for i, pair in enumerate(map(tuple, merges))}
        self._word = lru_cache(maxsize=None)(self._encode_word)

    @staticmethod
    def train(world, vocab_size):
        return Tokenizer(*learn(word_weights(world), vocab_size))

    @staticmethod
    def load(path):
        with open(path, encoding="utf-8") as f:
            model = json.load(f)["model"]
        return Tokenizer(sorted(model["vocab"], key=model["vocab"].get), model["merges"])

    def __len__(self):
        return len(self.tokens)

    def encode(self, text):
        return [i for word in re.findall(PATTERN, text) for i in self._word(word)]

    def decode(self, ids):
        bytes_of = {c: b for b, c in ALPHABET.items()}
        return bytes(bytes_of[c] for i in ids for c in self.tokens[i]).decode()

    def _encode_word(self, word):
        symbols = [ALPHABET[b] for b in word.encode()]
        while len(symbols) > 1:
            best = min(zip(symbols, symbols[1:]), key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            symbols = merge(symbols, *best)
        return tuple(self._ids[s] for s in symbols)

    def save(self, path):
        special = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
                   for i, t in enumerate(SPECIAL)]
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
        split = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False}
        model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                 "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                 "vocab": {t: i for i, t in enumerate(self.tokens)}, "merges": [list(m) for m in self.merges]}
        whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": None,
                 "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]}, "post_processor": None,
                 "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, "model": model}
        with open(path, "w", encoding="utf-8") as f:
            json.dump(whole, f, ensure_ascii=True)
