#!/usr/bin/env python3
"""Writes encoded.safetensors: rows of float32 and the bytes that ggml's reference quantisation makes of them.

    pip install llama-cpp-python==0.3.36 numpy safetensors
    make_encoded.py encoded.safetensors

`input` [R, 256] are the rows; `<TYPE>.bytes` [R, bytes] what ggml_quantize_chunk (no importance matrix) gives for each.
Rows whose scale f16 cannot hold are in `too_large.input`: every encoder with a scale must refuse them.
"""
import ctypes
import os
import sys

import llama_cpp
import numpy as np
from safetensors.numpy import save_file

TYPES = {"F16": (1, 512), "BF16": (30, 512), "Q8_0": (8, 272), "Q4_0": (2, 144), "Q4_1": (3, 160), "Q5_0": (6, 176), "Q5_1": (7, 192),
         "Q4_K": (12, 144), "Q6_K": (14, 210)}


def rows():
    rng = np.random.default_rng(20)
    n = lambda scale=1.0: rng.standard_normal(256, dtype=np.float32) * np.float32(scale)
    one = lambda at, value: np.where(np.arange(256) == at, np.float32(value), np.float32(0))
    yield from (n(), n(0.02), n(3e-4), n(250))
    yield np.float32(0.1) * rng.standard_t(2, 256).astype(np.float32)     # heavy tails
    yield rng.uniform(-1, 1, 256).astype(np.float32)
    yield rng.uniform(0.5, 1, 256).astype(np.float32)                     # positive only
    yield -np.abs(n(0.3)) - np.float32(0.01)                              # negative only
    yield np.zeros(256, np.float32)
    yield np.full(256, -0.0, np.float32)
    yield np.full(256, 0.7, np.float32)
    yield np.full(256, -0.7, np.float32)
    yield one(77, 5.0)                                                    # one value among zeros
    yield n(0.01) + one(200, -40.0)                                       # one outlier
    yield np.where(np.arange(256) % 2 == 0, np.float32(1), np.float32(-1))
    yield np.round(n(4)) / 4                                              # many ties
    yield np.repeat(n(), 32)[:256]                                        # constant parts
    yield n(1e-6) * np.where(np.arange(256) < 128, np.float32(1), np.float32(1e6))  # f16 scales underflow in one half
    yield n(1e-9)
    yield n(1e-20)
    yield n(1e-39)                                                        # denormals
    yield np.where(np.arange(256) == 3, np.float32(1e-45), np.float32(0))
    yield n(6e4 / 4.5)                                                    # near the end of f16
    half = rng.integers(-1000, 1000, 256) + 0.5                           # in the middle between two codes of each format
    for i, (low, high) in enumerate([(-127, 127), (-8, 7), (-16, 15), (0, 15), (0, 31), (-127, 126), (-7, 8), (-15, 16)]):
        block = half[32 * i:32 * i + 32]
        block[:] = np.clip(low + 0.5 + np.floor(np.abs(block)) % (high - low), low, high)
        block[0], block[1] = low, high
    yield half.astype(np.float32)
    yield np.concatenate([n(10.0 ** -k)[:32] for k in range(8)])          # parts of very different size


def main():
    lib = ctypes.CDLL(os.path.join(os.path.dirname(llama_cpp.__file__), "lib", "libggml-base.so"))
    lib.ggml_quantize_chunk.restype = ctypes.c_size_t
    lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64,
                                        ctypes.c_int64, ctypes.c_void_p]
    x = np.ascontiguousarray(np.stack([r.astype(np.float32) for r in rows()]))
    assert np.isfinite(x).all() and np.abs(x).max() < 65504
    out = {"input": x}
    for name, (kind, size) in TYPES.items():
        raw = np.zeros((len(x), size), np.uint8)
        assert lib.ggml_quantize_chunk(kind, x.ctypes.data, raw.ctypes.data, 0, len(x), 256, None) == raw.nbytes
        out[name + ".bytes"] = raw
    huge = np.zeros((3, 256), np.float32)
    huge[0, 5], huge[1, :], huge[2, ::2], huge[2, 1::2] = 1e30, -3e38, 3e38, -3e38
    out["too_large.input"] = huge
    save_file(out, sys.argv[1])


main()
