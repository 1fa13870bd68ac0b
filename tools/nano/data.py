"""World, exam, tokenizer and training stream of one configuration, built once and kept in a directory."""

import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass

import numpy as np

import exam
from corpus import Stream
from tokenizer import Tokenizer
from world import World


@dataclass(frozen=True)
class Setting:
    world_seed: int = 1
    people: int = 1400
    scale: float = 1.2
    tokens: int = 10_000_000
    length: int = 192
    vocab_size: int = 1792


def build_world(setting, directory):
    """Writes exam.jsonl and tokenizer.json. The same setting gives the same files, byte for byte."""
    os.makedirs(directory, exist_ok=True)
    world = World(setting.world_seed, setting.people, setting.scale)
    tokenizer = Tokenizer.train(world, setting.vocab_size)
    tokenizer.save(f"{directory}/tokenizer.json")
    exam.save(exam.build(world, setting.world_seed), f"{directory}/exam.jsonl")
    return world, tokenizer


def check_exam(world, rows):
    """No exam question may be one that training asks."""
    asked = {q for f in world.facts if f.asked for q in f.questions}
    for row in rows:
        if row["split"] == "test" and row["question"] in asked:
            raise ValueError(f"{row['id']}: '{row['question']}' is asked in training")


def build_stream(setting, directory, seed):
    """-> directory of ids.npy, weights.npy, kinds.npy; built when absent. seed: order of the documents."""
    out = f"{directory}/stream-{seed}"
    if os.path.exists(f"{out}/meta.json"):
        with open(f"{out}/meta.json") as f:
            meta = json.load(f)
        if meta["setting"] == asdict(setting):
            return out
    os.makedirs(out, exist_ok=True)
    world, tokenizer = build_world(setting, directory)
    check_exam(world, exam.load(f"{directory}/exam.jsonl"))
    stream = Stream(world, tokenizer, seed)
    ids, weights, kinds = stream.write(setting.tokens, setting.length)
    for name, array in (("ids", ids), ("weights", weights), ("kinds", kinds)):
        np.save(f"{out}/{name}.npy", array)
    meta = {"setting": asdict(setting), "sequences": len(ids), "facts": len(world.facts),
            "facts_asked": sum(f.asked for f in world.facts),
            "value_kilobits": round(sum(math.log2(len(f.pool)) for f in world.facts) / 1e3, 1),
            "exposures_per_popularity": round(stream.exposures / sum(f.popularity for f in world.facts), 2),
            "sha256": hashlib.sha256(ids.tobytes()).hexdigest()}
    with open(f"{out}/meta.json", "w") as f:
        json.dump(meta, f, indent=1)
    return out
