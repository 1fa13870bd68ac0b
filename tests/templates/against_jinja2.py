#!/usr/bin/env python3
"""Random templates, rendered by jinja2 and by our interpreter: the same text, or both refuse.

    python3 -m venv v && v/bin/pip install jinja2==3.1.6
    v/bin/python tests/templates/against_jinja2.py build/release/bin/template_driver --count 20000 --seed 1

jinja2 is set up as transformers sets it up. Where both refuse, the kind must agree too: jinja2's own errors (a caller
may render again without a system message) apart from Python's. What our interpreter calls unsupported or beyond its
limits is counted and may not exceed a few percent.

The values carry Greek letters and the templates Latin ones. So every Greek letter of an output came from a value, and
must be marked as content.
"""

import argparse
import collections
import datetime
import json
import random
import subprocess
import sys

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from random_templates import GREEK, Maker

NOW = datetime.datetime(2026, 7, 4, 9, 5, 3)


class Generation(jinja2.ext.Extension):
    """The tag generation: its body, as a call block."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


class Space(jinja2.utils.Namespace):
    """A namespace that refuses names with a leading underscore."""

    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        attributes = dict(*args, **kwargs)
        for name in attributes:
            Space.check(name)
        jinja2.utils.Namespace.__init__(self, attributes)

    def __setitem__(self, name, value):
        Space.check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


class Dict:
    def __call__(self, *args, **kwargs):
        return dict(*args, **kwargs)

    def fromkeys(self, *args, **kwargs):
        return dict.fromkeys(*args, **kwargs)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def reference():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals.update(
        raise_exception=raise_exception,
        strftime_now=lambda form: NOW.strftime(form),
        dict=Dict(),
        namespace=Space,
    )
    return env


def expected(env, template, variables):
    try:
        return env.from_string(template).render(**variables), None
    except RecursionError as error:
        return None, error
    except Exception as error:  # whatever jinja2 lets through
        return None, error


def kind_of(error):
    if isinstance(error, (jinja2.exceptions.TemplateSyntaxError, SyntaxError)):
        return "syntax"
    return "refused" if isinstance(error, jinja2.exceptions.TemplateError) else "python"


def unmarked_greek(answer):
    """The first Greek letter of the text that is not marked as content."""
    data = answer["text"].encode()
    marked = bytearray(len(data))
    for begin, end in answer["content"]:
        marked[begin:end] = b"\1" * (end - begin)
    at = 0
    for letter in answer["text"]:
        if letter in GREEK and not marked[at]:
            return at
        at += len(letter.encode())
    return None


def compare(env, template, variables, answer):
    """A complaint, or None; and a word for the statistics."""
    text, error = expected(env, template, variables)
    fault = answer.get("fault")
    if text is not None and " at 0x" in text:
        return None, "address"
    if fault in ("unsupported", "limit"):
        return None, fault + ": " + answer["message"][:50] if text is not None else fault
    if text is not None:
        if fault:
            return "refused %s: %s" % (answer["exception"], answer["message"]), "wrong"
        if answer["text"] != text:
            return "another text", "wrong"
        # The Greek letters of the template itself are names of attributes and one argument; none is printed.
        if unmarked_greek(answer) is not None and "'β'" not in template:
            return "unmarked content at byte %d" % unmarked_greek(answer), "wrong"
        return None, "same text"
    if not fault:
        return "jinja2 refuses: %r" % error, "wrong"
    if kind_of(error) != fault:
        return "another kind of refusal: %r" % error, "wrong"
    return None, "both refuse"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("driver")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=5, help="complaints to print")
    args = parser.parse_args()
    env = reference()
    driver = subprocess.Popen([args.driver], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    seen = collections.Counter()
    shown = 0
    for number in range(args.count):
        rng = random.Random(args.seed * 1_000_003 + number)
        maker = Maker(rng)
        variables = maker.variables()
        template = maker.block(3)
        driver.stdin.write(json.dumps({"template": template, "variables": variables}) + "\n")
        driver.stdin.flush()
        line = driver.stdout.readline()
        if not line:
            print("the driver died of:\n%s\n%s" % (template, json.dumps(variables, ensure_ascii=False)))
            return 1
        answer = json.loads(line)
        complaint, word = compare(env, template, variables, answer)
        seen[word] += 1
        if complaint and shown < args.show:
            shown += 1
            print("--- program %d: %s\n%s\n%s" % (number, complaint, template, json.dumps(variables, ensure_ascii=False)))
            print("jinja2: %r\nours:   %r" % (expected(env, template, variables), answer))
    for word, count in seen.most_common():
        print("%7d  %s" % (count, word))
    beyond = sum(count for word, count in seen.items() if word.startswith(("unsupported: ", "limit: ")))
    return 1 if seen["wrong"] or beyond * 50 > args.count else 0


if __name__ == "__main__":
    sys.exit(main())
