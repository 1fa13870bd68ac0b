#!/usr/bin/env python3
"""captured_bindings.py ROOT: no test shows a structured binding in a doctest macro that makes a lambda of its words.

clang before 16 refuses that, and CI compiles with g++ only."""

import pathlib
import re
import sys

from function_lengths import NOT_CODE

BINDING = re.compile(r"\bauto\s*&{0,2}\s*\[([\w\s,]+)\]\s*([:=])")
MACRO = re.compile(r"\b(CAPTURE|INFO|(?:CHECK|REQUIRE|WARN)(?:_FALSE)?_MESSAGE)\s*\(")


def end_of(text, at):
    """Behind the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(text)):
        depth += text[i] in "([{"
        depth -= text[i] in ")]}"
        if depth == 0:
            return i + 1
    return len(text)


def scope_of(text, binding):
    """Where its names are known: from the binding to the end of the loop or of the block."""
    i = binding.end()
    if binding.group(2) == ":":  # for (auto [a, b] : list) statement or block
        i = end_of(text, text.rindex("(", 0, binding.start()))
        while text[i].isspace():
            i += 1
        return binding.end(), end_of(text, i) if text[i] == "{" else text.index(";", i)
    while i < len(text) and text[i] != "}":
        i = end_of(text, i) if text[i] in "([{" else i + 1
    return binding.end(), i


def told(text, macro):
    """What the macro shows: its arguments, those of .._MESSAGE without the first."""
    begin = macro.end() - 1
    inside = text[begin + 1:end_of(text, begin) - 1]
    if not macro.group(1).endswith("_MESSAGE"):
        return inside
    i = 0
    while i < len(inside) and inside[i] != ",":
        i = end_of(inside, i) if inside[i] in "([{" else i + 1
    return inside[i:]


def complaints(text):
    plain = NOT_CODE.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
    macros = [(m.start(), m.group(1), set(re.findall(r"(?<![.\w>])\w+", told(plain, m))))
              for m in MACRO.finditer(plain)]
    for binding in BINDING.finditer(plain):
        names = set(re.findall(r"\w+", binding.group(1)))
        begin, end = scope_of(plain, binding)
        for at, macro, words in macros:
            for name in sorted(names & words if begin <= at < end else ()):
                yield plain.count("\n", 0, at) + 1, macro, name


def main():
    root = pathlib.Path(sys.argv[1])
    count, wrong = 0, []
    for path in sorted((root / "tests").rglob("*.[ch]pp")):
        count += 1
        for line, macro, name in complaints(path.read_text(encoding="utf-8")):
            wrong.append(f"{path.relative_to(root)}:{line}: {macro} has the structured binding '{name}', "
                         "expected a variable")
    print(*wrong, sep="\n", end="\n" if wrong else "")
    print(f"{count} files, {len(wrong)} bindings in lambdas")
    return 1 if wrong or count < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
