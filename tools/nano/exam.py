"""nano_exam: four-choice questions about facts that were stated but never asked in training, and held-out skill questions."""

import json
import random

from skills import SKILLS, draw
from world import KNOWLEDGE

QUESTIONS_PER_SUBJECT = 200
SHOTS = 5
TIERS = {4: "head", 2: "middle", 1: "tail"}


def fact_choices(rng, fact):
    choices = {fact.answer}
    while len(choices) < 4:
        choices.add(rng.choice(fact.pool))
    choices = sorted(choices)
    rng.shuffle(choices)
    return choices


def fact_row(rng, fact):
    choices = fact_choices(rng, fact)
    return {"subject": fact.subject, "question": fact.question, "choices": choices, "answer": choices.index(fact.answer),
            "tier": TIERS[fact.popularity]}


def skill_row(rng, drawn):
    choices = sorted(drawn.choices)
    rng.shuffle(choices)
    return {"subject": drawn.subject, "question": drawn.question, "choices": choices, "answer": choices.index(drawn.answer), "tier": "skill"}


def build(world, seed):
    """Rows in the order of the file: per subject SHOTS examples (split "dev"), then the questions (split "test")."""
    rng = random.Random(f"exam {seed}")
    rows = []
    for subject in KNOWLEDGE + SKILLS:
        if subject in SKILLS:
            dev = [skill_row(rng, draw(rng, subject, exam=False)) for _ in range(SHOTS)]
            seen, test = set(), []
            while len(test) < QUESTIONS_PER_SUBJECT:
                drawn = draw(rng, subject, exam=True)
                if drawn.question not in seen:
                    seen.add(drawn.question)
                    test.append(skill_row(rng, drawn))
        else:
            facts = [f for f in world.facts if f.subject == subject]
            asked, unasked = [f for f in facts if f.asked], [f for f in facts if not f.asked]
            dev = [fact_row(rng, f) for f in rng.sample(asked, SHOTS)]
            test = [fact_row(rng, f) for f in rng.sample(unasked, min(QUESTIONS_PER_SUBJECT, len(unasked)))]
        for split, part in (("dev", dev), ("test", test)):
            rows += [{"id": f"nano_exam/{subject}/{split}/{i}", "split": split, **row} for i, row in enumerate(part)]
    return rows


def save(rows, path):
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(row) + "\n" for row in rows)


def load(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]
