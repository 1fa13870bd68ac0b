"""Exam scores in the training framework: log-likelihood of every choice after "Question: ...\\nAnswer:", as moe-eval computes it."""

import numpy as np
import torch

from model import Compute
from world import KNOWLEDGE


def prompt(row, examples=()):
    shots = "".join(f"Question: {e['question']}\nAnswer: {e['choices'][e['answer']]}\n\n" for e in examples)
    return f"{shots}Question: {row['question']}\nAnswer:"


@torch.no_grad()
def log_likelihoods(model, sequences, batch=64):
    """sequences: [(ids, start)] -> sum of log p(ids[start:]) per sequence, summed in double."""
    out = np.zeros(len(sequences))
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i][0]))
    for first in range(0, len(order), batch):
        part = order[first : first + batch]
        longest = max(len(sequences[i][0]) for i in part)
        ids = torch.zeros(len(part), longest, dtype=torch.long)
        rows, columns, targets, owner = [], [], [], []
        for r, i in enumerate(part):
            tokens, start = sequences[i]
            ids[r, : len(tokens)] = torch.tensor(tokens)
            for position in range(start, len(tokens)):
                rows.append(r)
                columns.append(position - 1)
                targets.append(tokens[position])
                owner.append(i)
        positions = torch.tensor(rows) * (longest - 1) + torch.tensor(columns)
        logits = model(ids[:, :-1], positions).float()
        chosen = torch.log_softmax(logits, -1).gather(1, torch.tensor(targets)[:, None])[:, 0].double().numpy()
        np.add.at(out, owner, chosen)
    return out


def exam_scores(model, tokenizer, rows, shots=0, contexts=None, dtype=torch.bfloat16):
    """-> (test rows, log-likelihoods [n, 4]). contexts: replaces the prompt, e.g. lambda row: "Answer:" for the prior check."""
    test = [r for r in rows if r["split"] == "test"]
    examples = {}
    for r in rows:
        if r["split"] == "dev":
            examples.setdefault(r["subject"], []).append(r)
    sequences = []
    for row in test:
        text = contexts(row) if contexts else prompt(row, examples[row["subject"]][:shots])
        context = tokenizer.encode(text)
        for choice in row["choices"]:
            continuation = tokenizer.encode(" " + choice)
            sequences.append((context + continuation, len(context)))
    before, Compute.dtype = Compute.dtype, dtype
    loads = [gate.load.clone() for gate in model.gates()]
    scores = log_likelihoods(model, sequences).reshape(-1, 4)
    for gate, load in zip(model.gates(), loads):
        gate.load.copy_(load)
    Compute.dtype = before
    return test, scores


def correct(test, scores):
    return scores.argmax(1) == np.array([row["answer"] for row in test])


def summary(test, scores):
    """Percent right: all, knowledge, and by subject and tier."""
    right = correct(test, scores)
    out = {"all": right.mean(), "knowledge": right[[r["subject"] in KNOWLEDGE for r in test]].mean()}
    for key in ("subject", "tier"):
        for value in dict.fromkeys(r[key] for r in test):
            out[value] = right[[r[key] == value for r in test]].mean()
    return {k: round(100 * float(v), 2) for k, v in out.items()}
