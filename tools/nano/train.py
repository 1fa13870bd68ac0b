"""Trains one model on the stream of one seed; resumes where it was interrupted.  python train.py --help"""

import argparse
import json
import os
import signal
import sys
import time
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

import exam
from corpus import QUESTIONS, SKILL, STATEMENTS
from data import Setting, build_stream
from model import MODELS, Nano
from optimizer import Optimizer, Rates, balance
from score import exam_scores, summary
from tokenizer import Tokenizer

BATCH = 8
POSITIONS = 128  # positions in the loss come in multiples of it: oneDNN compiles a product for every new shape
WARM_UP_STEPS = 100
DECAY = 0.6  # the last part of training, over which the learning rate falls to zero
BALANCE_RATE = 0.003
CHECKPOINT_SECONDS = 60

# Of three for each model at half of the tokens, and of two for nano-moe over three seeds (figures in README.md).
RATES = {"nano-moe": Rates(muon=2.5e-3), "nano-dense-flops": Rates(muon=2.5e-3), "nano-dense-params": Rates(muon=2.5e-3)}


def schedule(step, steps):
    return min(1.0, (step + 1) / WARM_UP_STEPS, (steps - step) / (steps * DECAY))


class Run:
    def __init__(self, name, model_name, seed, rates, setting, directory, evaluations):
        self.name, self.setting, self.directory = name, setting, directory
        self.model = Nano(MODELS[model_name], seed)
        self.optimizer = Optimizer(self.model, rates)
        self.stream = build_stream(setting, directory, seed)
        self.ids, self.weights, self.kinds = (np.load(f"{self.stream}/{n}.npy", mmap_mode="r") for n in ("ids", "weights", "kinds"))
        self.steps = len(self.ids) // BATCH
        self.step, self.seconds = 0, 0.0
        self.loss = {}
        self.load = [torch.zeros_like(g.load) for g in self.model.gates()]  # over the last tenth of training
        total, active = self.model.parameter_counts()
        self.log = {"name": name, "model": model_name, "seed": seed, "rates": vars(rates), "config": self.model.config.to_dict(),
                    "parameters": total, "active_parameters": active, "curve": []}
        self.tokenizer = Tokenizer.load(f"{directory}/tokenizer.json")
        self.rows = exam.load(f"{directory}/exam.jsonl")
        self.evaluate_at = {self.steps * (i + 1) // evaluations for i in range(evaluations)}
        self.state_path = f"{directory}/runs/{name}.state.pt"

    def batch(self):
        rows = slice(self.step * BATCH, (self.step + 1) * BATCH)
        ids = torch.from_numpy(self.ids[rows].astype(np.int64))
        weights = torch.from_numpy(self.weights[rows, 1:].astype(np.float32)).reshape(-1) / 100
        return ids, weights, self.kinds[rows]

    def train_step(self):
        ids, weights, kinds = self.batch()
        positions = weights.nonzero()[:, 0]
        wanted = len(positions)
        positions = F.pad(positions, (0, -wanted % POSITIONS))
        weights = weights[positions]
        weights[wanted:] = 0.0  # the padding repeats position 0
        logits = self.model(ids[:, :-1], positions).float()
        losses = F.cross_entropy(logits, ids[:, 1:].reshape(-1)[positions], reduction="none")
        ((losses * weights).sum() / weights.sum()).backward()
        factor = schedule(self.step, self.steps)
        self.optimizer.step(factor)
        if self.step >= 0.9 * self.steps:
            for total, gate in zip(self.load, self.model.gates()):
                total += gate.load
        self.imbalance = [float(g.load.max() / g.load.mean()) for g in self.model.gates()]
        balance(self.model.gates(), BALANCE_RATE * max(0.1, min(1.0, (self.steps - self.step) / (self.steps * DECAY))))
        self.track(losses.detach(), weights, positions, kinds)
        self.step += 1

    def track(self, losses, weights, positions, kinds):
        """Running mean of the answers' loss by kind of document."""
        kind_of = torch.from_numpy(kinds.astype(np.int64))[positions // self.setting.length]
        for kind, label in ((STATEMENTS, "statements"), (QUESTIONS, "questions"), (SKILL, "skills")):
            chosen = losses[(weights == 1) & (kind_of == kind)]
            if len(chosen):
                mean = float(chosen.mean())
                self.loss[label] = 0.97 * self.loss.get(label, mean) + 0.03 * mean

    def evaluate(self):
        test, scores = exam_scores(self.model, self.tokenizer, self.rows)
        point = {"tokens": self.step * BATCH * self.setting.length, "seconds": round(self.seconds),
                 "loss": {k: round(v, 4) for k, v in self.loss.items()}, "accuracy": summary(test, scores)}
        self.log["curve"].append(point)
        print(f"{self.name}: {json.dumps(point)}", flush=True)

    def save_state(self):
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state(), "step": self.step, "seconds": self.seconds, "loss": self.loss,
                 "load": self.load, "log": self.log, "setting": self.setting}
        torch.save(state, self.state_path + ".part")
        os.replace(self.state_path + ".part", self.state_path)

    def restore(self):
        if not os.path.exists(self.state_path):
            return
        state = torch.load(self.state_path, weights_only=False)
        if state["setting"] != self.setting or state["log"]["rates"] != self.log["rates"]:
            sys.exit(f"{self.state_path} belongs to another setting or other learning rates: remove it, or choose another --name")
        self.model.load_state_dict(state["model"])
        self.optimizer.restore(state["optimizer"])
        self.step, self.seconds, self.loss, self.load, self.log = (state[k] for k in ("step", "seconds", "loss", "load", "log"))
        print(f"{self.name}: resumed at step {self.step} of {self.steps}", flush=True)

    def execute(self):
        self.restore()
        last_print = last_save = started = time.time()
        begin_seconds = self.seconds
        while self.step < self.steps:
            before = time.time()
            self.train_step()
            now = time.time()
            self.seconds += now - before
            if self.step in self.evaluate_at:
                self.evaluate()
            if now - last_print > 10:
                last_print = now
                done = self.step * BATCH * self.setting.length
                left = (self.steps - self.step) * self.seconds / self.step
                losses = " ".join(f"{k} {v:.3f}" for k, v in self.loss.items())
                print(f"{self.name}: {done / 1e6:.2f} of {self.setting.tokens / 1e6:.2f} M tokens, loss {losses}, "
                      f"load max/mean {' '.join(f'{x:.2f}' for x in self.imbalance) or '-'}, "
                      f"{done / self.seconds:.0f} tokens/s, {left / 60:.1f} min left", flush=True)
            if STOP or now - last_save > CHECKPOINT_SECONDS:
                last_save = now
                self.save_state()
            if STOP:
                sys.exit(f"{self.name}: interrupted at step {self.step}; the same command goes on from there")
        self.finish()

    def finish(self):
        self.log["tokens"] = self.steps * BATCH * self.setting.length
        self.log["seconds"] = round(self.seconds)
        self.log["load"] = [[int(x) for x in load] for load in self.load]
        torch.save({"model": self.model.state_dict(), "config": self.model.config}, f"{self.directory}/runs/{self.name}.pt")
        with open(f"{self.directory}/runs/{self.name}.json", "w") as f:
            json.dump(self.log, f, indent=1)
        if os.path.exists(self.state_path):
            os.remove(self.state_path)


STOP = []


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--model", required=True, choices=list(MODELS))
    p.add_argument("--out", required=True, help="directory of the world; the run goes to OUT/runs/NAME.pt and .json")
    p.add_argument("--seed", type=int, default=1, help="of the initial weights and of the order of documents; world and exam stay")
    p.add_argument("--name", help="of the run (default: MODEL-SEED)")
    p.add_argument("--tokens", type=int, default=Setting.tokens)
    p.add_argument("--muon", type=float, help="learning rate of the hidden matrices (default: the model's own)")
    p.add_argument("--experts", type=float, help="times --muon, for the routed experts (default: the model's own)")
    p.add_argument("--adam", type=float, help="learning rate of embeddings, head and norms (default: the model's own)")
    p.add_argument("--evaluations", type=int, default=5)
    a = p.parse_args()
    torch.set_num_threads(1)  # at this size two runs side by side beat one run on two threads
    torch.manual_seed(a.seed)
    rates = RATES[a.model]
    rates = replace(rates, **{k: v for k, v in vars(a).items() if k in ("muon", "adam", "experts") and v})
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: STOP.append(True))
    os.makedirs(f"{a.out}/runs", exist_ok=True)
    Run(a.name or f"{a.model}-{a.seed}", a.model, a.seed, rates, Setting(tokens=a.tokens), a.out, a.evaluations).execute()


if __name__ == "__main__":
    main()
