#!/usr/bin/env python3
"""check_widths.py ROOT: no line of a Markdown file has more than 100 columns, except inside fenced blocks and where there is
one link or word alone, which cannot be broken. Exit status 1 names the lines that have more."""

import os
import pathlib
import re
import sys

COLUMNS = 100
NOT_OURS = {"build", "out", "models/real"}  # as in .gitignore
ONE_WORD = re.compile(r"\s*([*-] |\d+\. )?(\S+|\S*\[[^\]]*\]\(\S+)")


def documents_of(root):
    for folder, folders, files in os.walk(root):
        here = pathlib.Path(folder)
        folders[:] = [f for f in folders if not f.startswith(".") and str((here / f).relative_to(root)) not in NOT_OURS]
        yield from (here / file for file in files if file.endswith(".md"))


def long_lines(text):
    """Numbers and widths of the lines that are too long."""
    in_block = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_block = not in_block
        elif not in_block and len(line) > COLUMNS and not ONE_WORD.fullmatch(line):
            yield number, len(line)


def main(root):
    documents, complaints = sorted(documents_of(root)), 0
    for path in documents:
        for number, width in long_lines(path.read_text(encoding="utf-8")):
            print(f"FAILED: {path.relative_to(root)}:{number}: {width} columns, expected at most {COLUMNS}")
            complaints += 1
    print(f"{len(documents)} documents, {complaints} lines that are too long")
    return 1 if complaints or not documents else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
