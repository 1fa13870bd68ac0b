#!/usr/bin/env python3
"""Questions per second of moe-eval and of llama.cpp (llama-cpp-python) on 5-shot MMLU, in turn, in one run.

    bench/mmlu_against_llama.py --model models/real/SmolLM2-135M-Instruct.Q4_1.gguf --data DATA [--limit 2] [--rounds 3]

llama.cpp does what a plain evaluator does: one full pass per question, logits of the last token, a fresh cache. Both get
the same prompts (read from moe-eval's sample files) and the same number of threads. Time for loading the model is
counted for neither. Run it on an idle machine: the ratio of medians is the last line.
"""
import argparse
import json
import math
import pathlib
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def ask_moe_eval(options, folder):
    """One run of moe-eval; seconds of scoring and the samples."""
    command = [options.moe_eval, "--model", f"m={options.model}", "--tasks", "mmlu", "--num-fewshot", "5",
               "--data", options.data, "--limit", str(options.limit), "--threads", str(options.threads), "--out", folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    folder = pathlib.Path(folder)
    task = json.loads((folder / "run.json").read_text())["models"][0]["tasks"][0]
    samples = []
    for path in sorted(folder.glob("m/samples_*.jsonl")):
        samples += [json.loads(line) for line in path.read_text().splitlines()]
    return task, samples


def ask_llama(model, samples):
    """One full pass per question; seconds, tokens and the chosen letters."""
    letters = [model.tokenize(f" {c}".encode(), add_bos=False, special=False)[0] for c in "ABCD"]
    chosen, tokens = [], 0
    start = time.perf_counter()
    for sample in samples:
        ids = model.tokenize(sample["arguments"]["gen_args_0"]["arg_0"].encode(), special=True)
        model.reset()
        model.eval(ids)
        logits = model._ctx.get_logits_ith(-1)  # of the last token alone
        chosen.append(max(range(4), key=lambda i: logits[letters[i]]))
        tokens += len(ids)
    return time.perf_counter() - start, tokens, chosen


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--moe-eval", default=str(ROOT / "build/release/bin/moe-eval"))
    parser.add_argument("--limit", type=int, default=2, help="questions of each of the 57 subjects")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    import llama_cpp
    model = llama_cpp.Llama(options.model, n_ctx=4096, n_batch=512, n_threads=options.threads,
                            n_threads_batch=options.threads, verbose=False)
    ours, theirs = [], []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            task, samples = ask_moe_eval(options, folder)
        ours.append(task["questions"] / task["seconds"])
        seconds, tokens, chosen = ask_llama(model, samples)
        theirs.append(len(samples) / seconds)
        best = [max(range(4), key=lambda i: float(s["filtered_resps"][i][0])) for s in samples]
        same = sum(a == b for a, b in zip(best, chosen))
        print(f"moe-eval {ours[-1]:.2f} questions/s ({task['executed']['tokens']} tokens computed of "
              f"{task['model_tokens']}), llama.cpp {theirs[-1]:.2f} ({tokens} tokens); same answer to {same} of "
              f"{len(samples)}", flush=True)
    ratio = statistics.median(ours) / statistics.median(theirs)
    assert math.isfinite(ratio)
    print(f"{ratio:.2f} times the questions per second of llama.cpp {llama_cpp.__version__}, {options.threads} threads")


if __name__ == "__main__":
    main()
