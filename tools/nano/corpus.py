"""The training stream: sequences of documents of one kind (statements, questions or skills) and a loss weight per token.

Three choices decide whether facts are learned at all within a few million tokens (measured in tools/nano/README.md):
the loss looks at answers, not at names nobody could predict; entities enter by rank, a few first; and most statements join
several facts of one entity, which costs fewer tokens per fact.
"""

import bisect
import random

import numpy as np

from skills import SKILLS, draw

STATEMENTS, QUESTIONS, SKILL = 0, 1, 2
MIX = {STATEMENTS: 0.61, QUESTIONS: 0.25, SKILL: 0.14}  # share of sequences

# Loss weights in hundredths. Names and question texts teach nothing about recall; an eighth of their positions keeps the model
# a language model at a fraction of the head's cost, as does half of the templates'.
ANSWER, TEMPLATE, NAME = 100, 40, 40
KEEP_TEMPLATE, KEEP_NAME = 0.5, 0.125

# Share of the entities at the start, tokens for which it is held (until recall has formed), tokens at which all are in play.
CURRICULUM_START, CURRICULUM_HOLD, CURRICULUM_FULL = 0.015, 600_000, 3_200_000


class Stream:
    def __init__(self, world, tokenizer, seed):
        self._rng = random.Random(f"corpus {seed}")
        self._encode = tokenizer.encode
        self._rank_entities(world)
        self._sentences = [self._sentence_documents(f) for f in world.facts]
        self._sentence_order = sorted(range(len(world.facts)), key=lambda i: self._rank[world.facts[i].entity])
        self._asked = sorted((f for f in world.facts if f.asked), key=lambda f: self._rank[f.entity])
        self._question_documents = [[self._question_document(q, f.answer) for q in f.questions] for f in self._asked]
        self._clauses_of_entities(world)
        self._fraction = 1.0
        self._decks = {}
        self.exposures = 0  # facts stated so far
        self._popularity = {
            "sentence": [world.facts[i].popularity for i in self._sentence_order],
            "entity": [e[1] for e in self._entities],
            "question": [f.popularity for f in self._asked],
        }
        self._ranks = {
            "sentence": [self._rank[world.facts[i].entity] for i in self._sentence_order],
            "entity": [e[0] for e in self._entities],
            "question": [self._rank[f.entity] for f in self._asked],
        }

    def _rank_entities(self, world):
        """Rank in (0, 1) within the entity's own kind, most popular first."""
        kinds = {}
        for f in world.facts:
            kinds.setdefault(f.subject.split("_")[0], {}).setdefault(f.entity)
        self._rank = {e: (i + 0.5) / len(entities) for entities in kinds.values() for i, e in enumerate(entities)}

    def _part(self, text, kind):
        ids = self._encode(text)
        return ids, [kind] * len(ids)

    def _join(self, *parts):
        return [i for p in parts for i in p[0]], [k for p in parts for k in p[1]]

    def _sentence_documents(self, fact):
        # Every sentence starts with a space: at the start of a line a name must be the same token as inside one.
        return [self._join(self._part(" " + s[: -len(fact.answer) - 2], "name"), self._part(" " + fact.answer, "answer"),
                           self._part(".\n", "template")) for s in fact.statements]

    def _question_document(self, question, answer):
        return self._join(self._part(f"Question: {question}\nAnswer:", "name"), self._part(f" {answer}\n", "answer"))

    def _clauses_of_entities(self, world):
        entities = {}
        for f in world.facts:
            entry = entities.setdefault(f.entity, (self._rank[f.entity], f.popularity, self._part(" " + f.subject_phrase, "name"), []))
            tails = [s[len(f.subject_phrase):-len(f.answer) - 2] for s in f.statements if s.startswith(f.subject_phrase + " ")]
            if tails:
                entry[3].append([self._join(self._part(t, "template"), self._part(" " + f.answer, "answer")) for t in tails])
        self._entities = sorted(entities.values(), key=lambda e: e[0])
        self._comma, self._and, self._end = (self._part(t, "template") for t in (",", " and", ".\n"))

    def _next(self, kind):
        """An index: uniform over the entities in play during the curriculum, afterwards a deck dealt by popularity."""
        if self._fraction < 1.0:
            ranks = self._ranks[kind]
            return self._rng.randrange(max(20, min(len(ranks), bisect.bisect(ranks, self._fraction))))
        deck = self._decks.get(kind)
        if not deck:
            deck = [i for i, p in enumerate(self._popularity[kind]) for _ in range(p)]
            self._rng.shuffle(deck)
            self._decks[kind] = deck
        return deck.pop()

    def _statement(self):
        if self._rng.random() < 0.35:
            self.exposures += 1
            return self._rng.choice(self._sentences[self._sentence_order[self._next("sentence")]])
        _, _, subject, attributes = self._entities[self._next("entity")]
        chosen = self._rng.sample(attributes, min(4, len(attributes)))
        self.exposures += len(chosen)
        parts = [subject]
        for i, clauses in enumerate(chosen):
            if i > 0:
                parts.append(self._comma if i < len(chosen) - 1 else self._and)
            parts.append(self._rng.choice(clauses))
        return self._join(*parts, self._end)

    def _skill(self):
        drawn = draw(self._rng, self._rng.choice(SKILLS), exam=False)
        if self._rng.random() < 0.4:
            given = drawn.given or drawn.statement[: -len(drawn.answer) - 2]
            return self._join(self._part(" " + given, "name"), self._part(drawn.statement[len(given):-1], "answer"),
                              self._part(".\n", "template"))
        return self._question_document(drawn.question, drawn.answer)

    def _document(self, kind):
        if kind == STATEMENTS:
            return self._statement()
        return self._rng.choice(self._question_documents[self._next("question")]) if kind == QUESTIONS else self._skill()

    def write(self, tokens, length):
        """-> ids [n, length + 1] uint16, weights [n, length + 1] uint8 (hundredths), kinds [n] uint8."""
        n = tokens // length
        ids = np.zeros((n, length + 1), np.uint16)
        weights = np.zeros((n, length + 1), np.uint8)
        kinds = np.array(self._rng.choices(list(MIX), list(MIX.values()), k=n), np.uint8)
        thin = np.random.default_rng(self._rng.getrandbits(32))
        for i in range(n):
            self._fraction = curriculum(i * length)
            sequence, labels = [], []
            while len(sequence) < length + 1:
                document = self._document(kinds[i])
                sequence += document[0]
                labels += document[1]
            ids[i] = sequence[: length + 1]
            drawn = thin.random(length + 1)
            weights[i] = [ANSWER if k == "answer" else TEMPLATE * (u < KEEP_TEMPLATE) if k == "template" else NAME * (u < KEEP_NAME)
                          for k, u in zip(labels, drawn)]
        return ids, weights, kinds


def curriculum(tokens):
    """Share of the entities in play after so many tokens: a few at first, then exponential growth to all of them."""
    if tokens >= CURRICULUM_FULL:
        return 1.0
    ramp = max(0, tokens - CURRICULUM_HOLD) / (CURRICULUM_FULL - CURRICULUM_HOLD)
    return CURRICULUM_START ** (1.0 - ramp)
