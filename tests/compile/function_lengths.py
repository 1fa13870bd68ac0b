#!/usr/bin/env python3
"""function_lengths.py ROOT: no function of the sources is longer than 60 lines, but those that CONTRIBUTING.md names."""

import pathlib
import re
import sys

MOST = 60
FOLDERS = ("include", "src", "kernels", "bench", "tools", "python/src", "examples")
NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
NO_FUNCTION = re.compile(r"\b(if|for|while|switch|catch|else|do|namespace|class|struct|union|enum|try)\b")
TEMPLATE = re.compile(r"template\s*<[^;{}]*?>(?=\s*[\w:\[(])")  # whose parameters are classes
VALUE = re.compile(r"=\s*(\[|$)")  # a list, or a function without a name
NAME = re.compile(r"([\w~]+|operator\S+)\s*\(")


def functions(text):
    """(name, first line, lines) of what has a body in braces outside of other functions."""
    plain = NOT_CODE.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
    plain = re.sub(r"^[ \t]*#.*(?:\\\n.*)*", lambda m: re.sub(r"[^\n]", " ", m.group()), plain, flags=re.MULTILINE)
    scopes, head = [], 0
    for at, c in enumerate(plain):
        if c in ";}":
            if c == "}" and scopes:
                name, start = scopes.pop()
                if name:
                    lines = plain.count("\n", start, at)
                    yield name, plain.count("\n", 0, start) + 1, lines
            head = at + 1
        elif c == "{":
            before = plain[head:at]
            is_inside = any(name for name, _ in scopes)
            found = None if is_inside or NO_FUNCTION.search(TEMPLATE.sub("", before)) else NAME.search(before)
            if VALUE.search(before):
                found = None
            scopes.append((found.group(1) if found else "", at))
            head = at + 1


def main():
    root = pathlib.Path(sys.argv[1])
    allowed = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    count, wrong = 0, []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.[ch]pp")):
            for name, line, lines in functions(path.read_text(encoding="utf-8")):
                count += 1
                if lines > MOST and f"`{name}`" not in allowed:
                    wrong.append(f"{path.relative_to(root)}:{line}: {name} has {lines} lines, expected at most {MOST}")
    print(*wrong, sep="\n", end="\n" if wrong else "")
    print(f"{count} functions, {len(wrong)} too long")
    return 1 if wrong or count < 3000 else 0


if __name__ == "__main__":
    sys.exit(main())
