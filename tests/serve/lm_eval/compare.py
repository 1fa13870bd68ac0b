#!/usr/bin/env python3
"""compare.py SAMPLES SAMPLES...: whether runs of lm-eval and moe-eval gave the same answers to the nano exam.

Log-likelihoods are compared as doubles, bit by bit, and the greedy flags as they are."""

import json
import sys


def samples(path):
    answers = {}
    with open(path) as lines:
        for line in lines:
            sample = json.loads(line)
            pairs = [resp[0] for resp in sample["resps"]]
            answers[sample["doc"]["id"]] = (
                [(float(score), str(greedy)) for score, greedy in pairs],
                sample["acc"],
                sample["acc_norm"],
            )
    return answers


def main():
    first, *others = sys.argv[1:]
    expected = samples(first)
    bad = 0
    for path in others:
        found = samples(path)
        common = expected.keys() & found.keys()
        different = [i for i in common if expected[i] != found[i]]
        print(f"{path}: {len(common)} questions in common, {len(different)} differ; "
              f"{len(expected) - len(common)} only in the first, {len(found) - len(common)} only here")
        for i in different[:3]:
            print(f"  {i}: {expected[i]} against {found[i]}")
        bad += len(different) + (len(common) == 0)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
