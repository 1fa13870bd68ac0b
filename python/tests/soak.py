"""Several threads ask one model for minutes: every answer must be, to the bit, what one thread alone was given.

    python python/tests/soak.py --seconds 600 [--threads 8] [--model-threads 1] [--model DIR]

Ends with the number of answers and of those that differed; exit status 0 only where none did and nothing was raised.
"""

import argparse
import hashlib
import pathlib
import random
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

import numpy as np

import libmoe

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXTS = ["Question: What is the capital of Marlund?\nAnswer:", "Numbers and", "The river", "Question: Who"]
LABELS = [" Brexton", " Orla", " Tavi"]


def digest(*arrays: object) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def stepped(model: libmoe.Model, ids: list[int], cut: int, kv: str) -> str:
    """Logits of a prompt in two steps, with a fork that goes on beside it."""
    session = model.session(kv=kv, cache_tokens=512)
    whole = session.open()
    first = session.step(whole, ids[:cut], logits="all")
    fork = session.fork(whole)
    both = session.step_batch([(whole, ids[cut:]), (fork, ids[cut:] + ids)], logits="all")
    return digest(first, *both)


def jobs(model: libmoe.Model) -> list[Callable[[], str]]:
    """Each gives a digest of all bits of its answer."""
    def reply(text: str, seed: int) -> str:
        g = model.generate(text, max_tokens=24, temperature=0.9, seed=seed, logprobs=3, ignore_eos=True)
        return digest(g.tokens, [p for _, p, _ in g.logprobs or []])

    def stream(text: str) -> str:
        pieces = model.generate(text, max_tokens=16, stream=True, ignore_eos=True)
        return digest([token for piece in pieces for token in piece.tokens])

    def batch() -> str:
        return digest(*[g.tokens for g in model.generate(TEXTS, max_tokens=12, ignore_eos=True)])

    def several() -> str:
        replies = model.generate(TEXTS[1], n=3, max_tokens=12, temperature=1.0, ignore_eos=True)
        return digest(*[g.tokens for g in replies])

    def scores(text: str) -> str:
        return digest([s.log_likelihood for s in model.score(text, LABELS)])

    out: list[Callable[[], str]] = [batch, several]
    for text in TEXTS:
        ids = model.tokenizer.encode(text)
        out += [partial(reply, text, 0), partial(reply, text, 7), partial(stream, text), partial(scores, text)]
        out += [partial(stepped, model, ids, 1, "f16"), partial(stepped, model, ids, 1, "f32")]
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--threads", type=int, default=8, help="that ask")
    parser.add_argument("--model-threads", type=int, default=1, help="that compute, for each of them")
    parser.add_argument("--model", default=str(ROOT / "models" / "nano" / "nano-moe"))
    options = parser.parse_args()
    model = libmoe.Model(options.model, threads=options.model_threads)
    work = jobs(model)
    expected = [job() for job in work]
    model.forget()
    answers, differing, raised = [0] * options.threads, [0] * options.threads, []
    end = time.monotonic() + options.seconds

    def run(number: int) -> None:
        order = random.Random(number)
        try:
            while time.monotonic() < end:
                job = order.randrange(len(work))
                differing[number] += work[job]() != expected[job]
                answers[number] += 1
        except BaseException as error:  # a thread that ends early must be seen
            raised.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(options.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in raised:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    print(
        f"{options.threads} threads, {options.seconds:g} s, {len(work)} kinds of work: {sum(answers)} answers, "
        f"{sum(differing)} differ, {len(raised)} threads raised"
    )
    return 0 if sum(differing) == 0 and not raised and all(answers) else 1


if __name__ == "__main__":
    sys.exit(main())
