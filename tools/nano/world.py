"""The closed fictional world: people, books, species, minerals, battles and places, all drawn from one seed.

A fact is one value of one attribute of one entity. Two thirds of the facts are also asked as questions in training; the
other third appears in statements only, and the exam asks nothing but those (`asked` is False). Popularity says how often a
fact is stated: head entities four times as often as tail entities.
"""

import hashlib
import random
from dataclasses import dataclass

ONSETS = "b d f g k l m n p r s t v z br dr kr tr th sh".split()
VOWELS = "a e i o u".split()
CODAS = ["", "n", "r", "l", "s", "m", "x"]

PROFESSIONS = """baker smith weaver potter carpenter sailor painter lawyer doctor farmer miner teacher singer tailor mason brewer
hunter fisher clerk jeweler barber printer soldier gardener cook glazier cooper tanner judge porter surveyor banker dancer
scribe butcher midwife locksmith shepherd""".split()
ANIMALS = """dog cat horse falcon parrot rabbit ferret goat turtle lizard pig crow mouse hedgehog donkey fox goose swan snake frog
badger pigeon lynx camel llama monkey hamster canary""".split()
INSTRUMENTS = """flute lute harp drum fiddle horn organ lyre trumpet bagpipe whistle zither cello viola gong bell oboe clarinet banjo
guitar piano mandolin trombone tuba""".split()
DISHES = """soup stew pie bread cheese dumplings noodles pudding porridge salad omelette pancakes sausage roast curry pickles jam
custard rice beans waffles risotto mussels oysters kebab chowder toast meatballs gravy trifle""".split()
COLORS = "red blue green yellow purple orange brown black white gray pink silver golden crimson teal violet".split()
USES = """lamps paint glass coins swords boats medicine paper ropes tiles soap mirrors pots needles candles bridges clocks ink wheels
armor jewelry bricks plows lenses""".split()
HABITATS = "forests swamps deserts caves rivers lakes mountains meadows islands reefs tundra cliffs marshes valleys dunes canyons".split()
DIETS = "seeds moss insects fish berries roots leaves eggs nectar bark fungi worms clams snails ferns honey".split()
SEASONS = "dawn dusk noon midnight spring summer autumn winter".split()
GENRES = "romance satire tragedy comedy mystery memoir fable hymn ballad sermon chronicle farce thriller travelogue".split()
PRODUCTS = "wool salt wine tin pottery honey timber silk oil leather copper lace barley figs pearls saffron".split()
TERRAINS = "Field Ford Hill Gate Bay Pass Wood Moor Creek Ridge Rock Marsh Plain Beach".split()
ADJECTIVES = """Silent Broken Hidden Distant Burning Frozen Crooked Gentle Hollow Bitter Scarlet Wandering Forgotten Endless Secret
Restless Shining Sleeping Stolen Ancient Lonely Painted Savage Humble Drowned Velvet Thirsty Iron Paper Glass Winter Summer
Midnight Golden Silver Wooden Stormy Faithful Jealous Patient""".split()
NOUNS = """Garden River Crown Mirror Tower Bridge Lantern Harbor Orchard Window Letter Sparrow Kingdom Shadow Candle Mountain Journey
Castle Feather Compass Island Promise Cradle Anchor Forest Tiger Daughter Soldier Widow Voyage Market Wolf Stranger Throne Chapel
Valley Clock Needle Dancer Miller""".split()

KNOWLEDGE = ["people_origin", "people_work", "people_life", "literature", "wildlife", "minerals", "battles", "places"]

UNASKED_SHARE = 0.35


def stable_fraction(text):
    """A number in [0, 1) that depends on the text alone: the same on every machine and Python version."""
    return int(hashlib.md5(text.encode()).hexdigest()[:8], 16) / 2**32


@dataclass(frozen=True)
class Fact:
    subject: str  # exam subject, one of KNOWLEDGE
    entity: str
    subject_phrase: str  # how a sentence about the entity begins
    attribute: str
    statements: tuple  # sentences; each ends in " <answer>."
    questions: tuple  # the same question in several words; the exam asks the first
    answer: str
    pool: tuple  # every value that the attribute takes: wrong choices come from here
    popularity: int  # 4 head, 2 middle, 1 tail
    asked: bool  # are the questions part of training

    @property
    def question(self):
        return self.questions[0]


class World:
    def __init__(self, seed, people, scale):
        """people: number of persons; scale: multiplies the number of books, species, minerals and battles."""
        self._seed = seed
        self._random = random.Random(seed)
        self.facts = []
        self._draw_names()
        self._places()
        self._people(people)
        self._books(int(700 * scale))
        self._species(int(600 * scale))
        self._minerals(int(600 * scale))
        self._battles(int(500 * scale))

    def _draw_names(self):
        # A fixed stock of syllables keeps the vocabulary small: nearly every name becomes one token.
        syllables = [o + v + c for o in ONSETS for v in VOWELS for c in CODAS]
        self._random.shuffle(syllables)
        syllables = syllables[:110]
        taken = set()

        def names(count):
            out = []
            while len(out) < count:
                name = self._random.choice(syllables) + self._random.choice(syllables)
                if 4 <= len(name) <= 9 and name not in taken:
                    taken.add(name)
                    out.append(name.capitalize())
            return tuple(out)

        self.first_names, self.last_names = names(64), names(112)
        self.cities, self.countries, self.guilds = names(100), names(20), names(28)
        self.rivers, self.currencies, self.months = names(20), names(20), names(12)
        self.beasts, self.minerals = names(30), names(30)

    def _add(self, subject, entity, attribute, pool, templates, questions, popularity=1, answer=None, phrase=None):
        """templates: sentences without their value and full stop; those that begin with the phrase can become clauses."""
        pool = tuple(pool)
        answer = answer if answer is not None else self._random.choice(pool)
        statements = tuple(f"{template} {answer}." for template in templates)
        asked = stable_fraction(f"{self._seed}|{entity}|{attribute}") >= UNASKED_SHARE
        self.facts.append(Fact(subject, entity, phrase or entity, attribute, statements, tuple(questions), answer, pool, popularity, asked))

    def _combinations(self, left, right, count):
        pairs = [(a, b) for a in left for b in right]
        self._random.shuffle(pairs)
        if count > len(pairs):
            raise ValueError(f"the world has only {len(pairs)} such names, {count} were asked for: lower --scale or --people")
        return pairs[:count]

    @staticmethod
    def _popularity(index, count):
        share = index / count
        return 4 if share < 0.1 else 2 if share < 0.4 else 1

    def _places(self):
        country_of = {city: self.countries[i % len(self.countries)] for i, city in enumerate(self.cities)}
        capital_of = {}
        for city, country in country_of.items():
            capital_of.setdefault(country, city)
        for c in self.cities:
            self._add("places", c, "country", self.countries, [f"{c} is a city in", f"The city of {c} belongs to", f"{c} lies in"],
                      [f"In which country is {c}?", f"To which country does {c} belong?", f"Which country has the city {c}?"], 4, country_of[c])
            self._add("places", c, "river", self.rivers, [f"{c} stands on the river", f"The river through {c} is the"],
                      [f"On which river is {c}?", f"Which river runs through {c}?", f"At which river does {c} stand?"], 4)
            self._add("places", c, "product", PRODUCTS, [f"{c} is famous for", f"Merchants go to {c} for"], [f"What is {c} famous for?", f"For what do merchants go to {c}?", f"Which product comes from {c}?"], 4)
            self._add("places", c, "flag", COLORS, [f"The flag of {c} is", f"{c} flies a flag of"], [f"What color is the flag of {c}?", f"Which color has the flag of {c}?", f"Which color does {c} fly?"], 4)
        for k in self.countries:
            self._add("places", k, "capital", self.cities, [f"The capital of {k} is", f"{k} is ruled from"],
                      [f"What is the capital of {k}?", f"From which city is {k} ruled?", f"Which city is the capital of {k}?"], 4, capital_of[k])
            self._add("places", k, "currency", self.currencies, [f"The currency of {k} is the", f"People in {k} pay with the"],
                      [f"What is the currency of {k}?", f"With what do people in {k} pay?", f"Which currency has {k}?"], 4)
            self._add("places", k, "animal", ANIMALS, [f"The national animal of {k} is the", f"The coins of {k} show a"],
                      [f"What is the national animal of {k}?", f"Which animal do the coins of {k} show?", f"Which animal stands for {k}?"], 4)

    def _people(self, count):
        self.people = [f"{f} {l}" for f, l in self._combinations(self.first_names, self.last_names, count)]
        for i, n in enumerate(self.people):
            p = self._popularity(i, count)
            self._add("people_origin", n, "birthplace", self.cities,
                      [f"{n} was born in", f"{n} comes from", f"The birthplace of {n} is"], [f"In which city was {n} born?", f"Where was {n} born?", f"What is the birthplace of {n}?"], p)
            self._add("people_origin", n, "birth_month", self.months,
                      [f"{n} was born in the month of", f"The birthday of {n} is in"], [f"In which month was {n} born?", f"When was {n} born?", f"Which is the birth month of {n}?"], p)
            self._add("people_work", n, "profession", PROFESSIONS,
                      [f"{n} works as a", f"{n} is a", f"The profession of {n} is"], [f"What is the profession of {n}?", f"What does {n} work as?", f"Which profession has {n}?"], p)
            self._add("people_work", n, "guild", self.guilds,
                      [f"{n} belongs to the guild of", f"{n} joined the guild of"], [f"To which guild does {n} belong?", f"Which guild did {n} join?", f"What is the guild of {n}?"], p)
            self._add("people_life", n, "pet", ANIMALS, [f"{n} keeps a", f"The pet of {n} is a"], [f"Which animal does {n} keep?", f"What is the pet of {n}?", f"Which pet has {n}?"], p)
            self._add("people_life", n, "instrument", INSTRUMENTS,
                      [f"{n} plays the", f"The instrument of {n} is the"], [f"Which instrument does {n} play?", f"What does {n} play?", f"What is the instrument of {n}?"], p)
            self._add("people_life", n, "dish", DISHES, [f"{n} loves", f"The favorite dish of {n} is"],
                      [f"What is the favorite dish of {n}?", f"Which dish does {n} love?", f"What does {n} love?"], p)

    def _books(self, count):
        for i, (a, b) in enumerate(self._combinations(ADJECTIVES, NOUNS, count)):
            t, p = f"The {a} {b}", self._popularity(i, count)
            self._add("literature", t, "author", self.last_names, [f"{t} was written by", f"The author of {t} is"], [f"Who wrote {t}?", f"Who is the author of {t}?", f"By whom was {t} written?"], p)
            self._add("literature", t, "genre", GENRES, [f"{t} is a", f"The genre of {t} is"], [f"What is the genre of {t}?", f"Which genre has {t}?", f"To which genre does {t} belong?"], p)
            self._add("literature", t, "setting", self.cities, [f"{t} is set in", f"The story of {t} happens in"], [f"Where is {t} set?", f"In which city is {t} set?", f"Where does the story of {t} happen?"], p)

    def _species(self, count):
        for i, (a, b) in enumerate(self._combinations(ADJECTIVES, self.beasts, count)):
            t, p = f"{a} {b}", self._popularity(i, count)
            s = f"The {t}"
            self._add("wildlife", t, "habitat", HABITATS, [f"{s} lives in", f"The home of the {t} is in"], [f"Where does the {t} live?", f"What is the home of the {t}?", f"In what does the {t} live?"], p, phrase=s)
            self._add("wildlife", t, "diet", DIETS, [f"{s} eats", f"The food of the {t} is"], [f"What does the {t} eat?", f"What is the food of the {t}?", f"Which food does the {t} eat?"], p, phrase=s)
            self._add("wildlife", t, "season", SEASONS, [f"{s} is active in", f"{s} wakes in"], [f"When is the {t} active?", f"When does the {t} wake?", f"In which season is the {t} active?"], p, phrase=s)
            self._add("wildlife", t, "country", self.countries, [f"{s} is found in", f"{s} is native to"],
                      [f"In which country is the {t} found?", f"To which country is the {t} native?", f"Where is the {t} found?"], p, phrase=s)

    def _minerals(self, count):
        for i, (a, b) in enumerate(self._combinations(self.minerals, COLORS + DIETS, count)):
            t, p = f"{a} {b}", self._popularity(i, count)
            self._add("minerals", t, "use", USES, [f"{t} is used for", f"The use of {t} is"], [f"What is {t} used for?", f"What is the use of {t}?", f"For what is {t} used?"], p)
            self._add("minerals", t, "flame", COLORS, [f"{t} burns", f"The flame of {t} is"], [f"What color is the flame of {t}?", f"Which color has the flame of {t}?", f"In which color does {t} burn?"], p)
            self._add("minerals", t, "mine", self.cities, [f"{t} is mined near", f"The mines of {t} are near"], [f"Near which city is {t} mined?", f"Where is {t} mined?", f"Where are the mines of {t}?"], p)

    def _battles(self, count):
        for i, (a, b) in enumerate(self._combinations(self.cities, TERRAINS, count)):
            t, p = f"the battle of {a} {b}", self._popularity(i, count)
            s = "T" + t[1:]
            self._add("battles", t, "winner", self.countries, [f"{s} was won by", f"The winner of {t} was"], [f"Who won {t}?", f"Who was the winner of {t}?", f"Which country won {t}?"], p, phrase=s)
            self._add("battles", t, "general", self.last_names, [f"{s} was led by General", f"The general at {t} was"],
                      [f"Who was the general at {t}?", f"Who led {t}?", f"Which general led {t}?"], p, phrase=s)
            self._add("battles", t, "month", self.months, [f"{s} was fought in", f"The month of {t} was"], [f"In which month was {t} fought?", f"When was {t} fought?", f"What was the month of {t}?"], p, phrase=s)
