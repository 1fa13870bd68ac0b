#!/usr/bin/env python3
"""Asks the reference harness small questions of our own through a fake model and writes cases.json beside this file.

    pip install lm-eval==0.4.13
    python tests/data/harness/make_cases.py

The fake model: the log-likelihood of a continuation (of a whole text behind nothing) is -16 u / 2^48, u the first six
bytes of SHA-256(context 0x1f continuation), and it is greedy where two bits of the next byte are zero; a reply is one of
REPLIES by the hash of its prompt. Each case names one of our task files, which must ask the same and count the same.
"""
import hashlib
import json
import os
import pathlib

os.environ["HF_DATASETS_OFFLINE"] = "1"
from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.api.task import ConfigurableTask

HERE = pathlib.Path(__file__).resolve().parent
REPLIES = ["7", " The answer is 12.\n", "I count 3, then 4,\nso it is 1,024.", "No number."]


def digest(context, continuation):
    return hashlib.sha256(context.encode() + b"\x1f" + continuation.encode()).digest()


class Fake(LM):
    def loglikelihood(self, requests):
        out = []
        for request in requests:
            d = digest(*request.args)
            out.append((-16 * int.from_bytes(d[:6], "big") / 2**48, d[6] & 3 == 0))
        return out

    def loglikelihood_rolling(self, requests):
        return [-16 * int.from_bytes(digest("", r.args[0])[:6], "big") / 2**48 for r in requests]

    def generate_until(self, requests):
        return [REPLIES[hashlib.sha256(r.args[0].encode()).digest()[0] & 3] for r in requests]


def metrics(*names):
    return [{"metric": name} for name in names]


CHOICES = {"output_type": "multiple_choice", "doc_to_target": "answer", "test_split": "test", "fewshot_split": "dev"}
LETTERS = CHOICES | {
    "description": "Questions about {{subject.replace('_', ' ')}}.\n\n",
    "doc_to_text": "{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nC. {{choices[2]}}\nD. {{choices[3]}}\nAnswer:",
    "doc_to_choice": ["A", "B", "C", "D"], "fewshot_config": {"sampler": "first_n"},
    "metric_list": metrics("acc", "acc_norm", "brier_score", "exact_match")}
ENDINGS = CHOICES | {"doc_to_text": "Question: {{question}}\nAnswer:", "doc_to_choice": "choices",
                     "metric_list": metrics("acc", "acc_norm", "acc_bytes", "acc_mutual_info")}
PREFIXED = ENDINGS | {"gen_prefix": "It is", "metric_list": metrics("acc")}
# The evaluated split is also named as the one with examples: no question is its own.
CLOZE = {"output_type": "loglikelihood", "test_split": "test", "fewshot_split": "test", "doc_to_text": "{{start}}", "doc_to_target": "{{' ' + end}}",
         "metric_list": metrics("perplexity", "acc")}
TEXTS = {"output_type": "loglikelihood_rolling", "test_split": "test", "doc_to_text": "", "doc_to_target": "{{text}}",
         "metric_list": metrics("word_perplexity", "byte_perplexity", "bits_per_byte")}
WRITTEN = {"output_type": "generate_until", "test_split": "test", "fewshot_split": "dev",
           "doc_to_text": "Q: {{question}}\nA:", "doc_to_target": "{{reply}}", "gen_prefix": "Well,",
           "generation_kwargs": {"until": ["Q:"], "do_sample": False},
           "metric_list": [{"metric": "exact_match", "ignore_punctuation": True, "ignore_case": True}],
           "filter_list": [{"name": "last", "filter": [{"function": "regex", "regex_pattern": "[0-9][0-9,]*",
                                                        "group_select": -1}, {"function": "take_first"}]},
                           {"name": "whole", "filter": [{"function": "take_first"}]}]}
SYSTEM = "Answer well."
CASES = [("letters", LETTERS, 0, None), ("letters", LETTERS, 2, SYSTEM), ("letters", LETTERS, 4, None),
         ("endings", ENDINGS, 0, SYSTEM), ("endings", ENDINGS, 3, None),
         ("prefixed", PREFIXED, 0, None), ("prefixed", PREFIXED, 2, SYSTEM + "\n"),
         ("cloze", CLOZE, 0, None), ("cloze", CLOZE, 3, None),
         ("texts", TEXTS, 0, None), ("written", WRITTEN, 0, SYSTEM), ("written", WRITTEN, 2, None)]


def ask(name, config, shots, system):
    """One run of the harness; what it says of each question and of all."""
    task_file = json.loads((HERE / f"{name}.json").read_text())
    lines = [json.loads(line) for line in (HERE / task_file["questions"]).read_text().splitlines()]
    files = {}
    for split in ("test", "dev"):
        part = [line for line in lines if line.get("split", "test") == split]
        if part:
            path = HERE / f".{split}.jsonl"
            path.write_text("".join(json.dumps(line) + "\n" for line in part))
            files[split] = str(path)
    task = ConfigurableTask(config={"task": name, "dataset_path": "json", "dataset_kwargs": {"data_files": files},
                                    "metadata": {"version": 1.0}} | config)
    out = simple_evaluate(Fake(), tasks=[task], num_fewshot=shots, system_instruction=system, bootstrap_iters=1000,
                          cache_requests=False)
    for path in files.values():
        os.remove(path)
    samples = []
    for s in out["samples"][name]:
        arguments = [[a if isinstance(a, str) else a["until"] for a in arg] for arg in s["arguments"]]
        values = {m: s[m] if isinstance(s[m], (int, float)) else None for m in s["metrics"]}
        samples.append({"filter": s["filter"], "target": str(s["target"]), "arguments": arguments, "metrics": values,
                        "filtered": s["filtered_resps"] if config is WRITTEN else None})
    results = {k: v for k, v in out["results"][name].items() if "," in k}
    return {"task": f"{name}.json", "num_fewshot": shots, "system_instruction": system or "", "results": results,
            "samples": samples}


def main():
    cases = [ask(*case) for case in CASES]
    (HERE / "cases.json").write_text(json.dumps({"replies": REPLIES, "cases": cases}, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
