#!/usr/bin/env python3
"""Log-likelihoods of whole texts, as the reference harness's Hugging Face model scores them in windows: rolling.json.

    pip install "lm-eval[hf]==0.4.13"
    python tests/data/harness/make_rolling.py

The model is tests/data/golden/qwen3_moe in float32; texts are shorter and longer than its 256 positions.
"""
import json
import pathlib

import transformers
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

HERE = pathlib.Path(__file__).resolve().parent
MODEL = HERE.parent / "golden/qwen3_moe"
WORDS = "the river and a stone under seven old trees sang of winter while Ümlaute 水 stayed silent".split()
TEXTS = ["one", "A short text of a few words.", " ".join(WORDS[i * 7 % 16] for i in range(40)),
         " ".join(WORDS[i * 5 % 16] for i in range(150)), "\n".join(WORDS[i * 3 % 16] for i in range(400))]


def main():
    lm = HFLM(pretrained=str(MODEL), dtype="float32", device="cpu", batch_size=1)
    requests = [Instance("loglikelihood_rolling", {}, (text,), 0) for text in TEXTS]
    rows = [{"text": text, "tokens": len(lm.tok_encode(text)), "log_likelihood": float(x)}
            for text, x in zip(TEXTS, lm.loglikelihood_rolling(requests))]
    out = {"lm_eval": "0.4.13", "transformers": transformers.__version__, "max_length": lm.max_length, "texts": rows}
    (HERE / "rolling.json").write_text(json.dumps(out, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
