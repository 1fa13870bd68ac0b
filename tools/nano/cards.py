"""Writes the model cards of models/nano from study.json.  python tools/nano/cards.py --study build/nano/study.json --to models/nano"""

import argparse
import json
import re
import statistics
import textwrap

PURPOSE = {
    "nano-moe": "A mixture of experts of DeepSeek-V3's architecture at nano size: MLA, a sigmoid router with a balancing bias and groups, a shared "
                "expert, a dense first layer. 64 experts, 4 of them active.",
    "nano-dense-flops": "The dense twin of nano-moe with the same FLOPs per token: same width, depth, attention and vocabulary, every FFN dense.",
    "nano-dense-params": "The dense twin of nano-moe with the same number of parameters: same width, depth, attention and vocabulary, every FFN dense and wide.",
}
TIERS = ["head", "middle", "tail", "skill"]


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]) + "\n"


def spread(values):
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def accuracy_table(study, name):
    seeds = [s for s in study["seeds"] if f"{name}-{s}" in study["runs"]]
    runs = [study["runs"][f"{name}-{s}"]["accuracy"] for s in seeds]
    rows = [[key, f"{runs[0][key]:.1f}", spread([r[key] for r in runs])] for key in runs[0]]
    return table(["questions", f"shipped (seed {seeds[0]}), %", f"{len(seeds)} seed{'s' * (len(seeds) > 1)}, mean ± sd, %"], rows)


def curve_table(study, name):
    rows = []
    for point in study["runs"][f"{name}-{study['seeds'][0]}"]["curve"]:
        loss = point["loss"]
        rows.append([f"{point['tokens'] / 1e6:.1f} M", f"{loss['statements']:.3f}", f"{loss['questions']:.3f}", f"{loss['skills']:.3f}",
                     f"{point['accuracy']['knowledge']:.1f}", f"{point['accuracy']['all']:.1f}"])
    return table(["tokens", "loss, statements", "loss, questions", "loss, skills", "knowledge %", "all %"], rows)


def gap_table(study):
    rows = []
    for label, gap in study["gaps"].items():
        rows.append([label] + [f"{gap[k]['gap']:+.2f} ± {gap[k]['se']:.2f}, p = {gap[k]['p']:.1g}" for k in ("all", "knowledge")])
    return table(["pair", "whole exam, points", "knowledge subjects, points"], rows)


def wrapped(text):
    """Prose and lists of a Markdown text in lines of at most 100 columns; tables and headings stay as they are."""
    parts = []
    for part in text.split("\n\n"):
        items = re.split(r"\n(?=\* )", part)
        if not part.lstrip("\n").startswith(("|", "#")):
            indent = "  " if part.startswith("* ") else ""
            items = [textwrap.fill(item, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
                     for item in items]
        parts.append("\n".join(items))
    return "\n\n".join(parts) + "\n"


def card(study, name):
    run, data, rates = study["runs"][f"{name}-{study['seeds'][0]}"], study["data"], study["runs"][f"{name}-{study['seeds'][0]}"]["rates"]
    setting = data["setting"]
    load = ""
    if "training_load" in run:
        each = ", ".join(f"{layer['max_over_mean']:.2f} (idle: {layer['idle']})" for layer in run["training_load"])
        load = f"\nExpert load over the last tenth of training, max/mean per routed layer: {each}.\n"
    return wrapped(f"""# {name}

{PURPOSE[name]} Made for the tests and the demonstration of libmoe; it knows nothing of the real world.
Apache-2.0, like the project. Weights: bfloat16, router, bias and norms float32.

* parameters: {run['parameters']:,} in total, {run['active_parameters']:,} active per token (the embedding is a look-up)
* data: {data['facts']:,} facts of a closed fictional world ({data['value_kilobits']} kbit of values), {data['facts_asked']:,} of them also asked as questions, and three procedural skills
* training: {setting['tokens']:,} tokens in sequences of {setting['length']}; a fact of the tail is stated about {data['exposures_per_popularity']:.0f} times
* recipe: [tools/nano](../../../tools/nano/README.md); Muon {rates['muon']:g}, AdamW {rates['adam']:g}; {run['seconds'] / 60:.0f} minutes on one core

## Accuracy

Four choices, scored by the log-likelihood of each choice after the question, no examples. The exam asks only what was never asked in training.
With three examples: {run['three_shot']:.1f} %. Without the question (choices alone): {run['prior']:.1f} %.

{accuracy_table(study, name)}
"knowledge" is the mean over the eight knowledge subjects; head, middle and tail are tiers of popularity (stated 4 : 2 : 1 times).

## Training curve (seed {study['seeds'][0]})

{curve_table(study, name)}{load}
## Limits

It answers questions of the forms that the exam has, in its own vocabulary of {setting['vocab_size']} tokens, up to some 190 tokens at a time. It is no
language model for anything else, and one training seed is shipped: the table shows how much seeds differ.""")



def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--study", required=True)
    p.add_argument("--to", required=True, help="directory that holds a folder per model")
    a = p.parse_args()
    with open(a.study) as f:
        study = json.load(f)
    for name in PURPOSE:
        with open(f"{a.to}/{name}/README.md", "w") as f:
            f.write(card(study, name))
    print(gap_table(study))


if __name__ == "__main__":
    main()
