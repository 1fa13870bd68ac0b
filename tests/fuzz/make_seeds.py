#!/usr/bin/env python3
"""Writes seeds/: small inputs of our own for the entries of libFuzzer, and the words in dictionaries/. Run it again after a
change; what is there already, and has a name of its own, stays.   tests/fuzz/make_seeds.py"""

import json
import pathlib
import re
import struct

here = pathlib.Path(__file__).parent
root = here.parent.parent
data = root / "tests/data"


def write(entry, name, content):
    folder = here / "seeds" / entry
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


# --- GGUF: value types as the format numbers them
def string(text):
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(v):
    if isinstance(v, bool):
        return struct.pack("<IB", 7, v)
    if isinstance(v, int):
        return struct.pack("<II", 4, v) if 0 <= v < 1 << 32 else struct.pack("<Iq", 11, v)
    if isinstance(v, float):
        return struct.pack("<If", 6, v)
    if isinstance(v, str):
        return struct.pack("<I", 8) + string(v)
    parts = [value(x) for x in v]
    return struct.pack("<I", 9) + parts[0][:4] + struct.pack("<Q", len(v)) + b"".join(p[4:] for p in parts)


def gguf(metadata, tensors=()):
    """tensors: (name, dimensions from the innermost on, type, bytes)"""
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, v in metadata.items():
        out += string(key) + value(v)
    offset = 0
    for name, dimensions, kind, size in tensors:
        out += string(name) + struct.pack("<I", len(dimensions)) + struct.pack(f"<{len(dimensions)}Q", *dimensions)
        out += struct.pack("<IQ", kind, offset)
        offset += -(-size // 32) * 32
    for _, _, _, size in tensors:
        out += bytes(-len(out) % 32) + bytes((i * 37 + 5) % 256 for i in range(size))
    return out


def vocabulary(model, tokens, types, **more):
    keys = {"model": model, "tokens": tokens, "token_type": types, **more}
    return {f"tokenizer.ggml.{k}": v for k, v in keys.items()}


def gguf_seeds():
    letters = ["<unk>", "<s>", "</s>", "▁", "a", "b", "▁a", "ab"]
    byte_tokens = [f"<0x{b:02X}>" for b in range(256)]
    vocabularies = {
        "gpt2": vocabulary("gpt2", ["a", "b", "Ġ", "ab", "<|end|>"], [1, 1, 1, 1, 3], pre="qwen2", merges=["a b"],
                           eos_token_id=4, add_bos_token=False),
        "llama": vocabulary("llama", letters + byte_tokens, [2, 3, 3, 1, 1, 1, 1, 1] + [6] * 256,
                            scores=[0.0] * 3 + [-1.0 * i for i in range(5)] + [0.0] * 256, bos_token_id=1, eos_token_id=2,
                            unknown_token_id=0, add_space_prefix=True),
        "gemma4": vocabulary("gemma4", letters + byte_tokens, [2, 3, 3, 1, 1, 1, 1, 1] + [6] * 256, merges=["▁ a", "a b"],
                             scores=[0.0] * 264, bos_token_id=1, eos_token_id=2),
    }
    for name, keys in vocabularies.items():
        write("gguf", f"vocabulary_{name}.gguf", gguf({"general.architecture": "llama", **keys}))
    config = {"general.architecture": "llama", "general.name": "seed", "llama.block_count": 1, "llama.context_length": 64,
              "llama.embedding_length": 16, "llama.feed_forward_length": 16, "llama.attention.head_count": 2,
              "llama.attention.head_count_kv": 1, "llama.attention.layer_norm_rms_epsilon": 1e-5,
              "llama.rope.dimension_count": 8, "llama.rope.freq_base": 10000.0, "llama.vocab_size": 5,
              "tokenizer.chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"}
    half = lambda name, rows, columns: (name, [columns, rows], 1, 2 * rows * columns)
    norm = lambda name: (name, [16], 0, 64)
    tensors = [half("token_embd.weight", 5, 16), norm("output_norm.weight"), norm("blk.0.attn_norm.weight"),
               half("blk.0.attn_q.weight", 16, 16), half("blk.0.attn_k.weight", 8, 16), half("blk.0.attn_v.weight", 8, 16),
               half("blk.0.attn_output.weight", 16, 16), norm("blk.0.ffn_norm.weight"),
               *(half(f"blk.0.ffn_{part}.weight", 16, 16) for part in ("gate", "up", "down"))]
    write("gguf", "model.gguf", gguf({**config, **vocabularies["gpt2"]}, tensors))
    # Of every architecture what its converter writes: the configuration is read, then a tensor is missing.
    for layout in sorted((data / "gguf").glob("*.json")):
        described = json.loads(layout.read_text())
        write("gguf", f"metadata_{layout.stem}.gguf",
              gguf({"general.architecture": described["architecture"], **described["metadata"]}))


# --- Hugging Face directories
def tensor_header(shapes):
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    return f"{at}" + json.dumps(header, separators=(",", ":"))


def directory_seeds():
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1,
              "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 4, "intermediate_size": 6,
              "max_position_embeddings": 16, "rms_norm_eps": 1e-5, "head_dim": 4}
    layer, d = "model.layers.0.", 8
    outer = {"model.embed_tokens.weight": [4, d], "model.norm.weight": [d], "lm_head.weight": [4, d]}
    inner = {layer + "input_layernorm.weight": [d], layer + "post_attention_layernorm.weight": [d],
             **{f"{layer}self_attn.{p}_proj.weight": [4 if p in "kv" else d, d] for p in "qkvo"},
             **{f"{layer}mlp.{p}_proj.weight": [d, 6] if p == "down" else [6, d] for p in ("gate", "up", "down")}}
    text = json.dumps(config, separators=(",", ":"))
    write("directory", "single", "\0".join([text, "", tensor_header({**outer, **inner})]))
    index = {"metadata": {"total_size": 0}, "weight_map": {**dict.fromkeys(outer, "b.safetensors"),
                                                           **dict.fromkeys(inner, "a.safetensors")}}
    write("directory", "indexed", "\0".join([text, json.dumps(index), tensor_header(inner), tensor_header(outer)]))
    wrapper = {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "vision_config": {},
               "text_config": json.loads((data / "variants/gemma3_text/config.json").read_text())}
    small = {"model.language_model.embed_tokens.weight": [4, d], "model.vision_tower.x.weight": [3]}
    index["weight_map"] = dict.fromkeys(small, "c.safetensors")
    write("directory", "wrapper", "\0".join([json.dumps(wrapper), json.dumps(index), "", "", tensor_header(small)]))


# --- safetensors: one of every type that has a size of its own, an empty tensor, metadata
def safetensors_seeds():
    tensors = {"a": ("F32", [2, 3], 24), "b.weight": ("BF16", [3], 6), "c": ("F8_E4M3", [2, 2], 4), "d": ("I64", [1], 8),
               "e": ("U8", [0], 0), "f": ("F16", [], 2)}
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    for name, kept in {"types": header, "one": {"a": header["a"]}, "none": {}}.items():
        text = json.dumps(kept, separators=(",", ":")).encode()
        data_bytes = max([t["data_offsets"][1] for t in kept.values() if "data_offsets" in t], default=0)
        write("safetensors", name, struct.pack("<Q", len(text)) + text + bytes(data_bytes))


# --- tokenizers and texts
def tokenizer_seeds():
    added = lambda id, content, **flags: {"id": id, "content": content, "single_word": False, "lstrip": False,
                                          "rstrip": False, "normalized": False, "special": True, **flags}
    pattern = r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    bytes_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    vocab = {t: i for i, t in enumerate(["a", "b", "c", "Ġ", "Ã", "¶", "1", "2", "ab", "Ġab", "Ċ"])}
    byte_level = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added(11, "<|end|>"), added(12, "<x>", lstrip=True, rstrip=True, special=False),
                         added(13, "word", single_word=True, normalized=True)],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}, bytes_level]},
        "post_processor": {"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<|end|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
            "special_tokens": {"<|end|>": {"id": "<|end|>", "ids": [11], "tokens": ["<|end|>"]}}},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
                  "vocab": vocab, "merges": ["a b", "Ġ ab"]}}
    write("tokenizer", "byte_level", json.dumps(byte_level, ensure_ascii=False) + "\0ab word cab<|end|> 12\n<x> a\0" +
          json.dumps({"bos_token": "<|end|>", "eos_token": {"content": "<|end|>"}, "add_bos_token": True}))
    pieces = {t: i for i, t in enumerate(["<unk>", "<s>", "▁", "a", "b", "▁a", "ab", "▁ab"])}
    steps = lambda *all: {"type": "Sequence", "decoders": list(all)}
    for name, parts in {
            "metaspace": {"normalizer": None, "pre_tokenizer": {"type": "Metaspace", "replacement": "▁",
                                                                "prepend_scheme": "first", "split": False},
                          "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}},
            "replaced": {"normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
                         "pre_tokenizer": None,
                         "decoder": steps({"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                                          {"type": "ByteFallback"}, {"type": "Fuse"},
                                          {"type": "Strip", "content": " ", "start": 1, "stop": 0})}}.items():
        file = {"added_tokens": [added(0, "<unk>"), added(1, "<s>")], "post_processor": None, **parts,
                "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": False, "vocab": pieces,
                          "merges": [["▁", "a"], ["a", "b"], ["▁a", "b"]]}}
        write("tokenizer", name, json.dumps(file, ensure_ascii=False) + "\0 ab ba\0")


def text_seeds():
    texts = ["The 3 quick\tbrown föxes's <|im_end|>", "  a\n\n 1234 ", "中文，かな ｶﾅ 한국어",
             "e\u0301 \u1e9b\u0323 ﬁ", "<s>▁a ▁▁ </s>", "def f(x):\n    return {'a': x[0] + 1}\n", "\u200b\u2028🙂👩‍👩‍👧 ٣٤"]
    for i, text in enumerate(texts):
        write("text", f"text_{i}", bytes([ord("0") + i % 5]) + text.encode() + (b"\xff\xc3" if i == 1 else b""))


# --- tasks with their questions
def task_seeds():
    tasks = [*(data / "harness").glob("*.json"), *(data / "harness/chat").glob("*.json")]
    for path in sorted(tasks):
        task = json.loads(path.read_text())
        if "task" not in task:
            continue
        questions = path.parent / task["questions"]
        if questions.exists():
            write("task", path.stem, path.read_bytes() + b"\0" + questions.read_bytes()[:1500].rpartition(b"\n")[0])


# --- what is changed in a packed file (src/pack/format.hpp): 1 repairs the checksums, 2 cuts the rest off.
def pack_seeds():
    start, source, one = 64, 48, 48

    def at(offset, change):
        return bytes(offset) + change

    write("pack", "unchanged", b"\0")
    for name, offset in {"magic": 0, "format": 8, "numerics": 12, "panels": 16, "source_bytes": 20, "header_bytes": 24,
                         "file_bytes": 32, "header_hash": start, "file_count": start + 8,
                         "modified": start + source + 8}.items():
        write("pack", name, b"\1" + at(offset, b"\1"))
    for field in range(0, 56, 4):  # of the first and of a later matrix
        write("pack", f"matrix_{field}", b"\1" + at(start + source + one + 56 * (field % 3) + field, b"\xff\xff\xff\x7f"))
    for end in (0, 7, 63, 64, 200, 4095, 4096, 5000):
        write("pack", f"cut_{end}", b"\3" + bytes(end))
    write("pack", "panel", b"\0" + at(12000, b"\x10"))


# --- what is written between quotes in files that the readers know
def words_of(value, found):
    if isinstance(value, dict):
        for key, inner in value.items():
            found.add(key)
            words_of(inner, found)
    elif isinstance(value, list):
        for inner in value:
            words_of(inner, found)
    elif isinstance(value, str):
        found.add(value)


def dictionary(entry, words, comment=""):
    lines = sorted({w for w in words if 1 < len(w.encode()) <= 48})
    quoted = (re.sub(rb'[^ !#-\[\]-~]', lambda m: b"\\x%02x" % m[0][0], w.encode()).decode() for w in lines)
    (here / "dictionaries").mkdir(exist_ok=True)
    (here / "dictionaries" / f"{entry}.dict").write_text(comment + "".join(f'"{w}"\n' for w in quoted))


# --- config.json with the ways in which folders say that their weights are quantised
def config_seeds():
    config = json.loads((data / "golden/qwen3_moe/config.json").read_text())
    config.pop("torch_dtype", None)

    def compressed(form, weights):
        return {"quant_method": "compressed-tensors", "format": form, "ignore": ["lm_head"],
                "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}}

    quantised = {
        "fp8": {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128],
                "modules_to_not_convert": ["lm_head"]},
        "awq": {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"},
        "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": True, "sym": False},
        "mxfp4": {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]},
        "compressed_int4": compressed("pack-quantized", {"num_bits": 4, "type": "int", "symmetric": False,
                                                         "strategy": "group", "group_size": 32}),
        "compressed_float": compressed("float-quantized", {"num_bits": 8, "type": "float", "symmetric": True,
                                                           "strategy": "channel"}),
    }
    for name, how in quantised.items():
        write("config", f"{name}.json", json.dumps({**config, "quantization_config": how}, separators=(",", ":")) + "\n")


def dictionaries():
    configs, gguf_keys, tasks = set(), set(), set()
    for path in [*data.glob("*/*/config*.json"), *(here / "seeds/config").iterdir()]:
        words_of(json.loads(path.read_text()), configs)
    dictionary("config", configs, "# directory.dict repeats these words: libFuzzer reads one dictionary at a time.\n")
    for path in data.glob("gguf/*.json"):
        described = json.loads(path.read_text())
        gguf_keys.update(described["metadata"], [described["architecture"]], list(described["tensors"])[:12])
    dictionary("gguf", gguf_keys | {"GGUF", "tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.pre",
                                    "tokenizer.huggingface.json", "split.count", "general.alignment"})
    for path in root.glob("src/eval/tasks/*.json"):
        words_of({k: v for k, v in json.loads(path.read_text()).items() if k != "subtasks"}, tasks)
    dictionary("task", {w for w in tasks if len(w) < 30} | {"{question}", "{choices[0]}", "{answer|strip}", '"split": "dev"'})
    tokens = set()
    for path in (here / "seeds/tokenizer").iterdir():
        words_of(json.loads(path.read_bytes().split(b"\0")[0]), tokens)
    dictionary("tokenizer", tokens | {"Digits", "NFKC", "NFD", "Lowercase", "StripAccents", "MergedWithPrevious", "Removed",
                                      "Punctuation", "individual_digits", "always", "never"})
    dictionary("safetensors", {"__metadata__", "dtype", "shape", "data_offsets", "F32", "BF16", "F8_E4M3", "U8", "I64", "BOOL"})
    dictionary("directory", configs | {"weight_map", "a.safetensors", "b.safetensors", "data_offsets", "dtype", "shape", "BF16",
                                       "F8_E4M3", "model.layers.0.", "language_model."},
               "# A directory holds a config.json, so the words of config.dict are here too: libFuzzer reads one dictionary.\n")
    language = (data / "templates/turns.jinja").read_text() + (root / "src/chat/filters_list.cpp").read_text()
    signs = {"{%", "%}", "{{", "}}", "{#", "-%}", "is defined", "not in", "endfor", "endif", "endmacro", "namespace", "recursive"}
    dictionary("chat_template", signs | set(re.findall(r"[a-z_]{3,20}", language)))
    tables = (root / "src/serve/api/tables.cpp").read_text()
    http = {"HTTP/1.1\r\n", "Content-Length: ", "Transfer-Encoding: chunked\r\n", "\r\n\r\n", "0\r\n\r\n", "Host: a\r\n",
            "Expect: 100-continue\r\n", "POST /v1/completions ", "Connection: close\r\n"}
    dictionary("request", http | set(re.findall(r'"([a-z_]{3,30})"', tables)))


gguf_seeds()
directory_seeds()
safetensors_seeds()
tokenizer_seeds()
text_seeds()
task_seeds()
pack_seeds()
config_seeds()
dictionaries()
