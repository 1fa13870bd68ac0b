"""Procedural skills: every draw is a fresh question. Which draws belong to the exam is decided by a hash of the operands, so no
exam question, nor one with the same operands, is ever seen in training."""

from dataclasses import dataclass

from world import ANIMALS, INSTRUMENTS, USES, stable_fraction

SKILLS = ["ordering", "language", "patterns"]

SYLLABLES = [o + v for o in "b d g k l m n p r s t v".split() for v in "aeiou"]
THINGS = ANIMALS + INSTRUMENTS + USES


@dataclass(frozen=True)
class Drawn:
    subject: str
    statement: str  # a sentence that ends in " <answer>."
    question: str
    answer: str
    choices: tuple
    exam: bool  # belongs to the exam, never to training
    given: str | None = None  # the statement's beginning that nobody could predict; None: all but the answer


def ordering(rng):
    numbers = rng.sample(range(10, 100), 4)
    which = rng.choice(["largest", "smallest"])
    answer = str(max(numbers) if which == "largest" else min(numbers))
    listed = ", ".join(map(str, numbers))
    return Drawn("ordering", f"The {which} of {listed} is {answer}.", f"Which is the {which} of {listed}?", answer,
                 tuple(map(str, numbers)), stable_fraction(f"ordering {sorted(numbers)}") < 0.15)


def language(rng):
    """A toy morphology over syllables: suffixes that agree with the last vowel, prefixes with the first consonant."""
    stem = [rng.choice(SYLLABLES) for _ in range(rng.choice([2, 2, 3]))]

    def plural(s, wrong=False):
        return s + ["no" if (s[-1][-1] in "aou") != wrong else "ne"]

    def past(s, wrong=False):
        return ["ka" if (s[0][0] in "kpts") != wrong else "ga"] + s

    forms = {"plural": plural(stem), "past": past(stem), "intensive": [stem[0]] + stem,
             "diminutive": stem + [stem[-1][0] + "i"], "past plural": past(plural(stem))}
    mistakes = {"plural": plural(stem, True), "past": past(stem, True), "intensive": stem + [stem[-1]],
                "diminutive": stem + [stem[0][0] + "i"], "past plural": past(plural(stem, True))}
    form = rng.choice(list(forms))
    answer = "-".join(forms[form])
    choices = {answer, "-".join(mistakes[form])}
    others = ["-".join(v) for v in forms.values()]
    rng.shuffle(others)
    for other in others:
        if len(choices) < 4:
            choices.add(other)
    while len(choices) < 4:
        choices.add("-".join(stem + [rng.choice(SYLLABLES)]))
    word = "-".join(stem)
    return Drawn("language", f"The {form} of {word} is {answer}.", f"What is the {form} of {word}?", answer, tuple(sorted(choices)),
                 stable_fraction(f"language {word}") < 0.2)


def patterns(rng):
    """A sequence of words that repeats with period two, three or four; the choices are words of the sequence and one other."""
    words = rng.sample(THINGS, 5)
    period = rng.choice([2, 3, 4])
    length = rng.randint(period + 2, 2 * period + 3)
    sequence = [words[i % period] for i in range(length + 1)]
    answer = sequence.pop()
    choices = ([answer] + [w for w in words if w != answer])[:4]
    listed = " ".join(sequence)
    # From the second period on every word can be predicted, so a statement teaches with each of them.
    return Drawn("patterns", f"The sequence {listed} continues with {answer}.", f"What comes after {listed}?", answer, tuple(choices),
                 stable_fraction(f"patterns {' '.join(sorted(words[:period]))}") < 0.2, f"The sequence {' '.join(words[:period])}")


DRAW = {"ordering": ordering, "language": language, "patterns": patterns}



def draw(rng, skill, exam):
    """The next question of the skill that belongs to the exam (or to training)."""
    while True:
        drawn = DRAW[skill](rng)
        if drawn.exam == exam:
            return drawn
