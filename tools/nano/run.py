"""The whole recipe in one command: world, exam, three models, export.  python tools/nano/run.py --out build/nano

Trains nano-moe, nano-dense-flops and nano-dense-params, one process per core, and writes OUT/models/NAME (Hugging Face directories),
OUT/exam.jsonl and OUT/reference/NAME.jsonl. An interrupted run goes on with the same command. The shipped models are those of
seed 1; other seeds change the initial weights and the order of documents, never the world or the exam.
"""

import argparse
import os
import signal
import subprocess
import sys

from data import Setting, build_stream
from model import MODELS

HERE = os.path.dirname(os.path.abspath(__file__))


def run_all(commands, jobs):
    """Runs the commands, at most jobs at a time; stops all of them when one fails."""
    waiting, running = list(commands), []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that the runs below end as well
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(subprocess.Popen(waiting.pop(0), env={**os.environ, "OMP_NUM_THREADS": "1"}))
            pid, status = os.wait()
            running = [r for r in running if r.pid != pid]
            if status != 0:
                sys.exit("a training run failed: its message stands above")
    finally:
        for r in running:
            r.terminate()
        for r in running:
            r.wait()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", required=True)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--models", default=",".join(MODELS), help="comma-separated")
    p.add_argument("--tokens", type=int, default=Setting.tokens)
    p.add_argument("--jobs", type=int, default=os.cpu_count(), help="training processes at a time")
    a = p.parse_args()
    names = a.models.split(",")
    unknown = [n for n in names if n not in MODELS]
    if unknown:
        p.error(f"--models: '{unknown[0]}' is none of {', '.join(MODELS)}")
    build_stream(Setting(tokens=a.tokens), a.out, a.seed)
    os.makedirs(f"{a.out}/models", exist_ok=True)
    os.makedirs(f"{a.out}/reference", exist_ok=True)
    # The slowest first: the last process to end should be a short one.
    slowest = sorted(names, key=["nano-dense-params", "nano-moe", "nano-dense-flops"].index)
    run_all([[sys.executable, f"{HERE}/train.py", "--model", n, "--out", a.out, "--seed", str(a.seed), "--tokens", str(a.tokens)]
             for n in slowest if not os.path.exists(f"{a.out}/runs/{n}-{a.seed}.pt")], a.jobs)
    for n in names:
        subprocess.run([sys.executable, f"{HERE}/export.py", "--run", f"{a.out}/runs/{n}-{a.seed}.pt", "--world", a.out,
                        "--to", f"{a.out}/models/{n}", "--reference", f"{a.out}/reference/{n}.jsonl", "--sample", f"{a.out}/reference/sample.txt"], check=True)


if __name__ == "__main__":
    main()
