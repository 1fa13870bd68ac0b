"""Makes cases.json: routing cases of our own in the form of routing.json, answered in float64 by the definitions in
router_case.h. Seeded: running it again gives the same file. Needs numpy.

    python3 make_cases.py > cases.json
"""
import json

import numpy as np

GAP = 1e-5  # least distance of a choice: float32 engines must agree on it


def scores(method, logits):
    x = logits.astype(np.float64)
    if method == "noaux_tc":
        return 1.0 / (1.0 + np.exp(-x))
    if method == "topk_softmax":
        return x
    e = np.exp(x - x.max())
    return e / e.sum()


def best(values, count):
    """The `count` highest, lower index first where equal, and the gap to the next one."""
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    gap = values[order[count - 1]] - values[order[count]] if count < len(values) else np.inf
    return order[:count], gap


def answer(case):
    logits = np.array(case["logits"], dtype=np.float32)
    s = scores(case["method"], logits)
    bias = np.array(case["bias"], dtype=np.float32).astype(np.float64) if case["bias"] else 0.0
    selection, gap = s + bias, np.inf
    groups, kept = case["n_group"], case["topk_group"]
    if kept < groups:
        parts = np.sort(selection.reshape(groups, -1), axis=1)
        rank = parts[:, -2:].sum(axis=1) if case["method"] == "noaux_tc" else parts[:, -1]
        chosen, gap = best(rank, kept)
        size = len(selection) // groups
        selection = np.where(np.isin(np.arange(len(selection)) // size, chosen), selection, -np.inf)
    ids, expert_gap = best(selection, case["top_k"])
    w = s[ids]
    if case["method"] == "topk_softmax":
        w = np.exp(w - w.max())
    if case["norm"] or case["method"] == "topk_softmax":
        total = w.sum()
        if case["method"] == "noaux_tc":
            total += 1e-20
        if case["method"] == "softmax_bias":
            total = max(total, case["norm_min"])
        w = w / total
    order = np.argsort(ids)
    case["indices"] = [int(ids[i]) for i in order]
    case["weights"] = [float(f"{w[i] * case['scaling']:.9g}") for i in order]
    return min(gap, expert_gap)


def floats(values, digits=5):
    return [float(f"{v:.{digits}g}") for v in values]


# name, method, E, G, kept, K, norm, scaling, bias: the published shapes, and small ones around their edges
SHAPES = [
    ("DeepSeek-V3", "noaux_tc", 256, 8, 4, 8, True, 2.5, True),
    ("Kimi-K2", "noaux_tc", 384, 1, 1, 8, True, 2.827, True),
    ("Moonlight", "noaux_tc", 64, 1, 1, 6, True, 2.446, True),
    ("GLM-4.5", "noaux_tc", 160, 1, 1, 8, True, 2.5, True),
    ("dots.llm1", "noaux_tc", 128, 1, 1, 6, True, 2.5, True),
    ("DeepSeek-V2", "group_limited_greedy", 160, 8, 3, 6, False, 16.0, False),
    ("DeepSeek-V2-Lite", "greedy", 64, 1, 1, 6, False, 1.0, False),
    ("Qwen3-MoE", "softmax_topk", 128, 1, 1, 8, True, 1.0, False),
    ("Qwen2-57B-A14B", "softmax_topk", 64, 1, 1, 8, False, 1.0, False),
    ("Mixtral", "softmax_topk", 8, 1, 1, 2, True, 1.0, False),
    ("Hunyuan-A13B", "softmax_topk", 64, 1, 1, 8, True, 1.0, False),
    ("ERNIE-4.5-21B-A3B", "softmax_bias", 64, 1, 1, 6, True, 1.0, True),
    ("ERNIE-4.5-300B-A47B", "softmax_bias", 64, 1, 1, 8, True, 1.0, True),
    ("gpt-oss-120b", "topk_softmax", 128, 1, 1, 4, False, 1.0, False),
    ("gpt-oss-20b", "topk_softmax", 32, 1, 1, 4, False, 1.0, False),
    ("one expert", "softmax_topk", 1, 1, 1, 1, True, 1.0, False),
    ("all experts", "noaux_tc", 12, 1, 1, 12, True, 1.5, True),
    ("all of the kept", "noaux_tc", 12, 4, 2, 6, True, 1.0, True),
    ("pairs", "noaux_tc", 8, 4, 1, 2, False, 1.0, True),
    ("groups of one", "group_limited_greedy", 6, 6, 2, 2, False, 1.0, False),
    ("odd numbers", "noaux_tc", 35, 5, 3, 7, True, 0.37, True),
    ("top one", "topk_softmax", 17, 1, 1, 1, False, 1.0, False),
    ("no bias", "noaux_tc", 16, 4, 2, 4, True, 1.0, False),
]


def make_cases(rng):
    cases = []
    for name, method, E, G, kept, K, norm, scaling, biased in SHAPES:
        for kind in ("usual", "flat", "sharp", "negative bias"):
            if kind == "negative bias" and not biased:
                continue
            while True:
                spread = {"usual": 1.5, "flat": 0.05, "sharp": 12.0, "negative bias": 1.5}[kind]
                case = {"id": len(cases), "method": method, "n_group": G, "topk_group": kept, "norm": norm, "scaling": scaling,
                        "top_k": K, "n_experts": E, "logits": floats(rng.normal(0.0, spread, E)), "bias": None,
                        "tags": [name, kind]}
                if method == "softmax_bias":
                    case["norm_min"] = 1e-12
                if biased:
                    case["bias"] = floats(rng.normal(-3.0 if kind == "negative bias" else 0.0, 0.1, E))
                if answer(case) >= GAP:
                    break
            cases.append(case)
    return cases


def edge(out, why, expect, **case):
    base = {"method": "softmax_topk", "n_group": 1, "topk_group": 1, "norm": True, "scaling": 1.0, "bias": None}
    case = {"id": len(out), "why": why, "expect": expect, **base, **case}
    case.setdefault("n_experts", len(case["logits"]))
    if expect in ("exact", "tie"):
        answer(case)
    out.append(case)


def make_edges():
    out = []
    ones = [1.0] * 8
    for method in ("noaux_tc", "greedy", "softmax_topk", "softmax_bias", "topk_softmax"):
        bias = [0.0] * 8 if method in ("noaux_tc", "softmax_bias") else None
        norm = method not in ("greedy", "topk_softmax")
        extra = {"norm_min": 1e-12} if method == "softmax_bias" else {}
        common = dict(method=method, bias=bias, norm=norm, **extra)
        edge(out, "all equal", "tie", top_k=3, logits=ones, **common)
        edge(out, "two share the last place", "tie", top_k=2, logits=[0.5, 2.0, 0.25, 0.5, -1.0, 0.0, 0.1, 0.5], **common)
        edge(out, "a tie inside the chosen", "exact", top_k=3, logits=[0.5, 2.0, 0.25, 2.0, -1.0, 0.0, 0.1, 0.3], **common)
        edge(out, "NaN", "error", top_k=2, logits=[0.1, 0.2, "nan", 0.3, 0.4, 0.5, 0.6, 0.7], **common)
        edge(out, "infinity", "error", top_k=2, logits=[0.1, 0.2, "inf", 0.3, 0.4, 0.5, 0.6, 0.7], **common)
        edge(out, "no expert asked for", "error", top_k=0, logits=ones, **common)
        edge(out, "more experts than there are", "error", top_k=9, logits=ones, **common)
    edge(out, "NaN in the bias", "error", method="softmax_bias", norm_min=1e-12, top_k=2, logits=ones,
         bias=[0.0, 0.0, "nan", 0.0, 0.0, 0.0, 0.0, 0.0])
    edge(out, "the bias alone decides, the weights do not see it", "exact", method="softmax_bias", norm_min=1e-12, top_k=2,
         logits=[3.0, 2.0, 1.0, 0.0], bias=[0.0, 0.0, 5.0, 6.0])
    edge(out, "chosen scores below norm_min", "exact", method="softmax_bias", norm_min=1e-2, top_k=2,
         logits=[20.0, 2.0, 1.0, 0.0], bias=[0.0, 0.0, 5.0, 6.0])
    edge(out, "groups that share the last place", "tie", method="noaux_tc", n_group=4, topk_group=2, top_k=2,
         logits=[1.0, 0.0, 0.5, 0.5, 0.5, 0.5, 0.2, 0.1], bias=[0.0] * 8)
    edge(out, "groups that share the last place, ranked by their best", "tie", method="group_limited_greedy", norm=False,
         n_group=4, topk_group=2, top_k=2, logits=[1.0, 0.0, 0.5, 0.4, 0.3, 0.5, 0.2, 0.1])
    edge(out, "a group that its best expert would keep and its best two do not", "exact", method="noaux_tc", n_group=2,
         topk_group=1, top_k=2, logits=[3.0, -3.0, 1.5, 1.4], bias=[0.0] * 4)
    edge(out, "the same group kept by its best expert", "exact", method="group_limited_greedy", norm=False, n_group=2,
         topk_group=1, top_k=2, logits=[3.0, -3.0, 1.5, 1.4])
    edge(out, "biased scores below zero still beat masked groups", "exact", method="noaux_tc", n_group=2, topk_group=1, top_k=2,
         logits=[0.3, 0.2, 0.1, 0.0], bias=[-5.0, -6.0, -7.0, -8.0])
    edge(out, "experts that groups do not divide", "error", method="noaux_tc", n_group=3, topk_group=1, top_k=1, logits=ones,
         bias=[0.0] * 8)
    edge(out, "more groups kept than there are", "error", method="noaux_tc", n_group=2, topk_group=3, top_k=1, logits=ones,
         bias=[0.0] * 8)
    edge(out, "more experts than the kept groups hold", "error", method="noaux_tc", n_group=4, topk_group=1, top_k=3, logits=ones,
         bias=[0.0] * 8)
    edge(out, "half of 80 groups that are all equal: no runner may try every combination", "tie", method="noaux_tc", n_group=80,
         topk_group=40, top_k=8, logits=[0.25] * 160, bias=[0.0] * 160)
    return out


def main():
    cases, edges = make_cases(np.random.default_rng(7)), make_edges()
    print('{"schema": "README.md", "n_cases": %d,\n"cases": [' % len(cases))
    print(",\n".join(json.dumps(c) for c in cases))
    print('],\n"edge_cases": [')
    print(",\n".join(json.dumps(c) for c in edges))
    print("]}")


main()
