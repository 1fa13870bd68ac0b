"""The experiments behind the model cards: learning rates for each model at half of the tokens, then three seeds of the recipe.

python tools/nano/study.py --out build/nano-study --rates         bracket the learning rates (same data for each model)
python tools/nano/study.py --out build/nano --seeds 1,2,3         train every seed, then print and write OUT/study.json
"""

import argparse
import json
import math
import os
import sys

import numpy as np
import torch

import exam
from data import Setting, build_stream
from export import load_model, write_model
from model import MODELS
from run import HERE, run_all
from score import correct, exam_scores, summary
from tokenizer import Tokenizer
from world import KNOWLEDGE

RATE_TOKENS = Setting.tokens // 2
# Three rates a factor of two apart: wider matrices want smaller ones.
RATE_GRID = {"nano-moe": (2.5e-3, 5e-3, 1e-2), "nano-dense-flops": (2.5e-3, 5e-3, 1e-2), "nano-dense-params": (1.25e-3, 2.5e-3, 5e-3)}


def train_command(out, model, seed, tokens, name, *more):
    return [sys.executable, f"{HERE}/train.py", "--model", model, "--out", out, "--seed", str(seed), "--tokens", str(tokens),
            "--name", name, *more]


def rates(out, jobs):
    build_stream(Setting(tokens=RATE_TOKENS), out, 1)
    commands, names = [], {}
    for model in MODELS:
        for rate in RATE_GRID[model]:
            name = names[model, rate] = f"{model}-muon-{rate:g}"
            if not os.path.exists(f"{out}/runs/{name}.json"):
                commands.append(train_command(out, model, 1, RATE_TOKENS, name, "--muon", str(rate), "--evaluations", "1"))
    run_all(commands, jobs)
    for (model, rate), name in names.items():
        with open(f"{out}/runs/{name}.json") as f:
            log = json.load(f)
        print(f"{model:18} muon {rate:<7g} loss {log['curve'][-1]['loss']}  accuracy {log['curve'][-1]['accuracy']['all']:.2f} %")


def paired(a, b):
    """Gap of two answer vectors in points, its standard error and the two-sided p of the exact sign test on what differs."""
    d = a.astype(float) - b.astype(float)
    wins, losses = int((d > 0).sum()), int((d < 0).sum())
    n, k = wins + losses, min(wins, losses)
    tail = sum(math.comb(n, i) for i in range(k + 1)) / 2**n
    return {"gap": 100 * d.mean(), "se": 100 * d.std(ddof=1) / math.sqrt(len(d)), "p": min(1.0, 2 * tail)}


def balance_of(load):
    load = np.array(load, float)
    return [{"max_over_mean": round(float(l.max() / l.mean()), 3), "idle": int((l == 0).sum())} for l in load]


def models_of(seed, seed_list):
    """nano-dense-params is the slowest to train and the claim does not rest on it: one seed."""
    return [m for m in MODELS if m != "nano-dense-params" or seed == seed_list[0]]


def seeds(out, seed_list, jobs):
    for seed in seed_list:
        build_stream(Setting(), out, seed)
    run_all([train_command(out, m, s, Setting.tokens, f"{m}-{s}") for s in seed_list for m in models_of(s, seed_list)
             if not os.path.exists(f"{out}/runs/{m}-{s}.pt")], jobs)
    rows, tokenizer = exam.load(f"{out}/exam.jsonl"), Tokenizer.load(f"{out}/tokenizer.json")
    result = {"seeds": seed_list, "runs": {}, "gaps": {}}
    with open(f"{out}/stream-{seed_list[0]}/meta.json") as f:
        result["data"] = json.load(f)
    answers = {}
    for seed in seed_list:
        for m in models_of(seed, seed_list):
            with open(f"{out}/runs/{m}-{seed}.json") as f:
                log = json.load(f)
            exported = f"{out}/seed-{seed}/{m}"
            model = load_model(exported, write_model(f"{out}/runs/{m}-{seed}.pt", out, exported))
            test, scores = exam_scores(model, tokenizer, rows, dtype=torch.float32)
            answers[m, seed] = correct(test, scores)
            run = {"accuracy": summary(test, scores), "curve": log["curve"], "seconds": log["seconds"],
                   "parameters": log["parameters"], "active_parameters": log["active_parameters"], "rates": log["rates"]}
            _, blind = exam_scores(model, tokenizer, rows, contexts=lambda row: "Answer:")
            run["prior"] = round(100 * float(correct(test, blind).mean()), 2)
            _, shots = exam_scores(model, tokenizer, rows, shots=3)
            run["three_shot"] = round(100 * float(correct(test, shots).mean()), 2)
            if model.gates():
                run["training_load"] = balance_of(log["load"])
            result["runs"][f"{m}-{seed}"] = run
            print(m, seed, json.dumps({k: v for k, v in run.items() if k != "curve"}), flush=True)
    known = np.array([r["subject"] in KNOWLEDGE for r in test])
    for seed in seed_list:
        for other in models_of(seed, seed_list)[1:]:
            a, b = answers["nano-moe", seed], answers[other, seed]
            result["gaps"][f"nano-moe - {other}, seed {seed}"] = {"all": paired(a, b), "knowledge": paired(a[known], b[known])}
    for label, gap in result["gaps"].items():
        print(label, {k: {n: float(f"{x:.3g}") for n, x in v.items()} for k, v in gap.items()})
    with open(f"{out}/study.json", "w") as f:
        json.dump(result, f, indent=1)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", required=True)
    p.add_argument("--rates", action="store_true")
    p.add_argument("--seeds", help="comma-separated")
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    a = p.parse_args()
    torch.set_num_threads(1)
    if a.rates:
        rates(a.out, a.jobs)
    if a.seeds:
        seeds(a.out, [int(s) for s in a.seeds.split(",")], a.jobs)
    if not a.rates and not a.seeds:
        p.error("nothing to do: give --rates or --seeds")


if __name__ == "__main__":
    main()
