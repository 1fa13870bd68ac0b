#!/usr/bin/env python3
"""Writes the cases of this folder: pip install tokenizers==0.23.3, then ./make.py

Vocabularies that are there stay: training breaks ties at random.

byte_level.json   a byte-level BPE vocabulary whose merges cross words, so that every other split gives other ids
characters.json   a vocabulary of characters with byte tokens, as converters make it of SentencePiece's (Llama 2, Gemma)
crossing.json     the same with merges that cross spaces
cases.jsonl.gz    the texts, then a line per variant: what is changed in the vocabulary's file, and what the tokenizers
                  package makes of every text
"""
import copy
import gzip
import json
import os
import random

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
SPACE = "\u2581"

CORPUS = """
The lighthouse keeper counts 12 ships before breakfast and 128 after; it isn't a hobby, it's a habit he won't give up.
We'll meet at 10:45 o'clock. They're late, I'm not, you've seen it and she'd have known. THEY'RE LOUD, WE'LL SEE.
Der alte Fährmann zählt Möwen, während die Brücke im Nebel verschwindet; zwölf Boxkämpfer jagen Viktor quer über den Deich.
Příliš žluťoučký kůň pěl ďábelské ódy, a řeka mezitím tiše odnášela listí pod kamenný most.
El niño pidió café con azúcar; ¿cuánto cuesta? ¡Nada! La montaña guarda señales de otra época.
Документ ПродажиТоваров хранится в РегистрНакопления, а лодка медленно плывёт по широкой реке.
Ο καπετάνιος μετράει τα άστρα πριν από το ταξίδι του στο νησί.
灯台守は朝の船を十二隻数えた。東京タワーはカタカナとひらがなの間にある。
河上的小船慢慢走远了，老人数着星星，等着天亮。你好，世界！今天是二〇二四年三月五日。
한국어 문장도 여기에 있고 숫자 3,141.59 도 있다.
हिन्दी में नाव धीरे चलती है। ไทยภาษาไม่มีช่องว่าง العربية تكتب من اليمين
def readFile(path, maxSize=4096):\n    with open(path, 'rb') as handle:\n        return handle.read(maxSize)\n
for (int i = 0; i < n; ++i) {\n\tsum += values[i] * 0.5f;  // HTTPServerError, parseXMLNode\n}\n
SELECT id, userName FROM tableOfThings WHERE price >= 1999.95 AND kind != 'old';\r\n
a/b/c //// --- === *** ((())) [[x]] {{y}} <b>bold</b> <br/> #include <map> $HOME %d && || ~/.config
eMail iPhone McDonald ÉCOLE École straßenBahn ĐorđeBalašević ǅungla ªº ⅷ ½ ² ① ٣٤٥
""".replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")

LETTERS = list("aAbzZeE") + list("éÉñßøØřŘ") + list("жЖДдΩω") + ["ǅ", "ʰ", "ª", "ſ", "İ"]
MARKS = ["\u0301", "\u0327", "\u093f", "\u0e31", "\u20dd"]
WIDE = list("中文字东京河上船") + list("かなカナー") + list("한글") + ["\u3007", "\u2e80", "\u3005", "\U00020000"]
DIGITS = list("0123456789") + ["٣", "½", "²", "Ⅷ", "①"]
SIGNS = list("'\"!?.,;:-_/\\()[]{}<>|&%$#@*+=~^`") + ["'", "'", "…", "—", "“", "”", "「", "、", "。", "，", "・", "€", "©"]
SPACES = [" ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\t\t", "\u00a0", "\u3000", "\u2003", "\u0085"]
OTHERS = ["🦙", "👩\u200d🚀", "\u200b", "\u0000", "\ufeff", "\ue000", SPACE, SPACE * 2, "\U0001d400"]
SHORT = ["'s", "'S", "'t", "'RE", "'re", "'Ve", "'m", "'LL", "'ll", "'D", "'d", "'ſ", "'x", "' s"]
TAGS = ["<s>", "</s>", "<unk>", "<|end|>", "<tool>", "<0x0A>", "<b>", "[INST]", "word"]


def texts():
    r = random.Random(20261127)
    out = ["", " ", "  ", "\n", "\n\n\n", "\t\n ", SPACE, "a", " a", "a ", " a ", "  a  b   ", "<s>", "<s>a", "<s> a", " <s> a"]
    lines = [l for l in CORPUS.split("\n") if l]
    while len(out) < 160:
        line = r.choice(lines)
        begin = r.randrange(len(line))
        out.append(line[begin:begin + r.randint(3, 45)])
    kinds = [LETTERS, LETTERS, MARKS, WIDE, DIGITS, SIGNS, SPACES, SPACES, OTHERS, SHORT, TAGS]
    while len(out) < 400:
        few = r.sample(kinds, r.randint(1, 5))
        out.append("".join(r.choice(r.choice(few)) for _ in range(r.randint(1, 16))))
    return out


def parsed(tokenizer):
    return json.loads(tokenizer.to_str())


def byte_level():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator([CORPUS], trainers.BpeTrainer(vocab_size=1000, show_progress=False, special_tokens=["<|end|>"],
                                                        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return parsed(t)


def added(id, content, **flags):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": True, **flags}


def characters(split, size):
    """<unk>, <s>, </s>, 256 byte tokens, characters, merges: ids as in Llama 2."""
    first = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)]
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Replace(" ", SPACE)
    if split:
        t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    t.train_from_iterator(CORPUS.split("\n"), trainers.BpeTrainer(vocab_size=size, special_tokens=first, limit_alphabet=120,
                                                                  show_progress=False))
    t = parsed(t)
    t["added_tokens"] = [added(i, first[i]) for i in range(3)]
    for extra in ["\n", "\n\n", SPACE * 2, "\t", "\t\t"]:  # line ends and runs of spaces, as in Gemma
        if extra not in t["model"]["vocab"]:
            t["model"]["vocab"][extra] = len(t["model"]["vocab"])
    for left, right in [["\n", "\n"], [SPACE, SPACE], ["\t", "\t"]]:
        if [left, right] not in t["model"]["merges"]:
            t["model"]["merges"].append([left, right])
    t.update(normalizer=None, pre_tokenizer=None, decoder=LLAMA_DECODER)
    return t


REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
PREPEND = {"type": "Prepend", "prepend": SPACE}
LEGACY = {"type": "Sequence", "normalizers": [PREPEND, REPLACE]}
BACK = [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
LLAMA_DECODER = {"type": "Sequence", "decoders": BACK + [{"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
GEMMA_DECODER = {"type": "Sequence", "decoders": BACK}
BOS = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
       "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}


def metaspace(scheme, split, replacement=SPACE):
    return {"type": "Metaspace", "replacement": replacement, "prepend_scheme": scheme, "split": split}


FOLDED = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACED = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*" + SPACED


def cased(behind, digits, tail, without=""):
    upper, lower = (r"[\p{L%s}\p{Lm}\p{Lo}\p{M}%s]" % (c, without) for c in (r"u}\p{Lt", "l"))
    front = r"[^\r\n\p{L}\p{N}]?"
    return front + upper + "*" + lower + "+" + behind + "|" + front + upper + "+" + lower + "*" + behind + "|" + digits + tail


SLASH = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*" + SPACED
LLAMA3 = FOLDED + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + TAIL
QWEN2 = FOLDED + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + TAIL
GPT4O = cased(FOLDED + "?", r"\p{N}{1,3}", SLASH)
DEEPSEEK3 = [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
             r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
             r"| ?[\p{P}\p{S}]+[\r\n]*" + SPACED]


def split(*patterns):
    steps = [{"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False} for p in patterns]
    return {"type": "Sequence", "pretokenizers": steps + [
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}


DIGITS_GPT2 = {"type": "Sequence", "pretokenizers": [
    {"type": "Digits", "individual_digits": True},
    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]}
GPT2 = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}

# tokenizer.ggml.pre: the split of the models' own tokenizer.json, and whether whole tokens stay whole.
NAMES = [
    (["gpt-2"], GPT2, False), (["llama-bpe", "lfm2", "glm4"], split(LLAMA3), True), (["dbrx"], split(LLAMA3), False),
    (["qwen2", "hunyuan"], split(QWEN2), False),
    (["qwen35"], split(FOLDED + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + SPACED), False),
    (["seed-oss", "seed-coder"],
     split(FOLDED + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+" + SPACED), False),
    (["gpt-4o", "minimax-m2", "llama4"], split(GPT4O), False), (["tekken"], split(cased("", r"\p{N}", SLASH)), True),
    (["kimi-k2"], split(r"[\p{Han}]+|" + cased(FOLDED + "?", r"\p{N}{1,3}", TAIL, r"&&[^\p{Han}]")), False),
    (["deepseek-v3", "hunyuan-dense"], split(*DEEPSEEK3), False),
    (["starcoder", "command-r", "smollm"], DIGITS_GPT2, False),
]


def variants():
    """(name, vocabulary, changes of the file, tokenizer.ggml.pre of the same)"""
    for names, pre, whole in NAMES:
        yield names[0], "byte_level", {"pre_tokenizer": pre, "model": {"ignore_merges": whole}}, names
    llama = {"normalizer": LEGACY, "post_processor": BOS}
    yield "llama 2", "characters", llama, []
    yield "llama 2, tokens in normalised text", "characters", {**llama, "added_tokens": [
        added(0, "<unk>", normalized=True), added(1, "<s>", normalized=True), added(2, "</s>", normalized=True)]}, []
    yield "gemma", "characters", {"normalizer": REPLACE, "decoder": GEMMA_DECODER, "pre_tokenizer": {
        "type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}}, ["gemma4"]
    for scheme in ("always", "first", "never"):
        for cut in (True, False):
            for base in ("characters", "crossing"):
                yield f"metaspace {scheme}{' split' if cut else ''}, {base}", base, {
                    "pre_tokenizer": metaspace(scheme, cut), "post_processor": BOS}, []
    yield "crossing, legacy", "crossing", llama, []
    yield "crossing, gemma", "crossing", {"normalizer": REPLACE, "decoder": GEMMA_DECODER}, ["gemma4"]
    n = len(BASES["characters"]["model"]["vocab"])
    tokens = [added(i, t) for i, t in enumerate(["<unk>", "<s>", "</s>"])] + [
        added(n, "<|end|>", rstrip=True), added(n + 1, "<tool>", lstrip=True), added(n + 2, "[INST]", lstrip=True, rstrip=True),
        added(n + 3, "<b>", special=False, normalized=True), added(n + 4, "word", special=False, single_word=True),
        added(n + 5, SPACE * 2 + "x", special=False), added(n + 6, "a b", special=False, normalized=True)]
    for name, change in (("legacy", llama), ("metaspace first", {"pre_tokenizer": metaspace("first", False)}),
                         ("metaspace always split", {"pre_tokenizer": metaspace("always", True)})):
        yield f"added tokens, {name}", "characters", {**change, "added_tokens": tokens}, []
    yield "no byte tokens", "characters", {**llama, "model": {"byte_fallback": False}}, []
    yield "no byte tokens, unknown ones apart", "characters", {**llama, "model": {"byte_fallback": False, "fuse_unk": False}}, []
    yield "some byte tokens", "characters", {**llama, "without": ["<0x%02X>" % b for b in range(0x80, 0xC8)]}, []
    yield "some byte tokens, unknown ones apart", "characters", {
        **llama, "model": {"fuse_unk": False}, "without": ["<0x%02X>" % b for b in range(0xC3, 0xF5)]}, []
    yield "no unknown token", "characters", {**llama, "model": {"byte_fallback": False, "unk_token": None}}, []
    yield "whole tokens", "crossing", {"pre_tokenizer": metaspace("always", True), "model": {"ignore_merges": True}}, []
    yield "whole tokens, whole text", "crossing", {**llama, "model": {"ignore_merges": True}}, []
    yield "normal form, then legacy", "characters", {"normalizer": {"type": "Sequence", "normalizers": [
        {"type": "NFKC"}, PREPEND, REPLACE]}}, []
    yield "replaced by pattern", "characters", {"normalizer": {"type": "Sequence", "normalizers": [
        {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
        {"type": "Replace", "pattern": {"String": "''"}, "content": "\""}, REPLACE]}}, []
    yield "metaspace decoder", "characters", {"pre_tokenizer": metaspace("always", True), "decoder": {
        "type": "Sequence", "decoders": [metaspace("always", True), {"type": "ByteFallback"}]}}, []
    yield "another sign for spaces", "characters", {"pre_tokenizer": metaspace("first", True, "_"), "decoder": {
        "type": "Sequence", "decoders": [metaspace("never", True, "_"), {"type": "ByteFallback"}]}}, []
    yield "white space taken along and found", "byte_level", {"pre_tokenizer": GPT2, "added_tokens": [
        added(0, "<|end|>"), added(1000, "  "), added(1001, "\t", lstrip=True, rstrip=True),
        added(1002, "\n", rstrip=True), added(1003, "'s", special=False, normalized=True, single_word=True)]}, []
    yield "normalised tokens, metaspace decoder", "characters", {
        "normalizer": REPLACE, "pre_tokenizer": metaspace("never", True), "decoder": metaspace("always", True),
        "added_tokens": tokens[:3] + [added(n, " a", normalized=True), added(n + 1, "  ", special=False, normalized=True)]}, []
    strip = {"type": "Strip", "strip_left": True, "strip_right": True}
    yield "stripped", "characters", {"normalizer": {"type": "Sequence", "normalizers": [strip, {"type": "NFC"}]},
                                     "pre_tokenizer": metaspace("always", False)}, []
    yield "patterns of Bloom and of tiktoken", "byte_level", {"pre_tokenizer": split(
        r" ?[^(\s|[.,!?…。，、।۔،])]+",
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s")}, []
    yield "digits, then metaspace", "characters", {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True}, metaspace("first", False)]}}, []
    yield "metaspace, then punctuation", "characters", {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
        metaspace("always", False), {"type": "Split", "pattern": {"Regex": r"\p{P}"}, "behavior": "Isolated", "invert": False}]}}, []


def changed(base, changes):
    file = copy.deepcopy(base)
    for key, value in changes.items():
        if key == "without":
            for token in value:
                del file["model"]["vocab"][token]
            ids = {t: i for i, t in enumerate(sorted(file["model"]["vocab"], key=file["model"]["vocab"].get))}
            file["model"]["vocab"] = ids
        elif key == "model":
            file["model"].update(value)
        else:
            file[key] = value
    return file


def main():
    global BASES
    BASES = {}
    for name, train in (("byte_level", byte_level), ("characters", lambda: characters(True, 760)),
                        ("crossing", lambda: characters(False, 760))):
        path = os.path.join(HERE, name + ".json")
        if not os.path.exists(path):
            with open(path, "w", encoding="utf-8") as f:
                json.dump(train(), f, ensure_ascii=False, separators=(",", ":"))
                f.write("\n")
        with open(path, encoding="utf-8") as f:
            BASES[name] = json.load(f)
    all_texts = texts()
    lines = [json.dumps({"texts": all_texts}, ensure_ascii=False)]
    for name, base, changes, pre in variants():
        t = Tokenizer.from_str(json.dumps(changed(BASES[base], changes)))
        plain = [t.encode(x, add_special_tokens=False).ids for x in all_texts]
        line = {"name": name, "base": base, "changes": changes, "pre": pre, "ids": plain,
                "with_special": [t.encode(x, add_special_tokens=True).ids for x in all_texts[:40]]}
        if base != "byte_level":
            line["decoded"] = [t.decode(ids, skip_special_tokens=False) for ids in plain[:200]]
            line["without_special"] = [t.decode(ids, skip_special_tokens=True) for ids in plain[:40]]
        lines.append(json.dumps(line, ensure_ascii=False, separators=(",", ":")))
    with open(os.path.join(HERE, "cases.jsonl.gz"), "wb") as f:
        with gzip.GzipFile(fileobj=f, mode="wb", mtime=0, filename="") as z:
            z.write(("\n".join(lines) + "\n").encode("utf-8", "surrogatepass"))
    print(len(all_texts), "texts,", len(lines) - 1, "variants")


if __name__ == "__main__":
    main()
