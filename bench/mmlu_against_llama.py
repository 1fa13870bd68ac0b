#!/usr/bin/env python3
"""Questions per second of moe-eval and of llama.cpp (llama-cpp-python) on 5-shot MMLU, in turn, in one run.

    bench/mmlu_against_llama.py --model models/real/SmolLM2-135M-Instruct.Q4_1.gguf --data DATA [--rounds 3]

llama.cpp does what a plain evaluator does: one full pass per question, logits of the last token, a fresh cache. Both get
the same prompts (read from moe-eval's sample files) and the same number of threads; loading the model is counted for
neither, encoding the prompts for both. moe-eval answers all questions, or the first --limit of each subject, where less
can be shared; llama.cpp answers --asked of them, evenly spread, since each costs it the same whatever stands beside it.
The last lines are the ratio of medians and the share of prompt tokens that was computed. Run it on an idle machine.
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
    """One run of moe-eval; its row of run.json and the samples."""
    command = [options.moe_eval, "--model", f"m={options.model}", "--tasks", "mmlu", "--num-fewshot", "5",
               "--data", options.data, "--threads", str(options.threads), "--out", folder]
    if options.limit:
        command += ["--limit", str(options.limit)]
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


def spread(samples, count):
    """`count` of them, evenly spread."""
    if count >= len(samples):
        return samples
    return [samples[i * len(samples) // count] for i in range(count)]


def at_least_one(text):
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1000000:
        raise argparse.ArgumentTypeError(f"'{text}': expected a number from 1 to 1000000")
    return int(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--moe-eval", default=str(ROOT / "build/release/bin/moe-eval"))
    parser.add_argument("--limit", type=at_least_one, default=0, help="questions of each of the 57 subjects (default: all)")
    parser.add_argument("--asked", type=at_least_one, default=114, help="questions that llama.cpp answers")
    parser.add_argument("--rounds", type=at_least_one, default=3)
    parser.add_argument("--threads", type=at_least_one, default=2)
    options = parser.parse_args()

    import llama_cpp
    model = llama_cpp.Llama(options.model, n_ctx=4096, n_batch=512, n_threads=options.threads,
                            n_threads_batch=options.threads, verbose=False)
    ours, theirs = [], []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            task, samples = ask_moe_eval(options, folder)
        ours.append(task["questions"] / task["seconds"])
        asked = spread(samples, options.asked)
        seconds, tokens, chosen = ask_llama(model, asked)
        theirs.append(len(asked) / seconds)
        best = [max(range(4), key=lambda i: float(s["filtered_resps"][i][0])) for s in asked]
        same = sum(a == b for a, b in zip(best, chosen))
        print(f"moe-eval: {task['questions']} questions in {task['seconds']:.1f} s, {ours[-1]:.2f}/s, "
              f"{task['executed']['tokens']} tokens computed of {task['model_tokens']}; llama.cpp: {len(asked)} in "
              f"{seconds:.1f} s, {theirs[-1]:.2f}/s, {tokens} tokens; same answer to {same}", flush=True)
    ratio = statistics.median(ours) / statistics.median(theirs)
    fewer = task["model_tokens"] / task["executed"]["tokens"]
    assert math.isfinite(ratio)
    print(f"{fewer:.2f} times fewer prompt tokens computed than one full pass per question ({'>=' if fewer >= 4 else '<'} 4)")
    print(f"{ratio:.2f} times the questions per second of llama.cpp ({'>=' if ratio >= 12 else '<'} 12), llama-cpp-python "
          f"{llama_cpp.__version__}, {options.threads} threads")


if __name__ == "__main__":
    main()
