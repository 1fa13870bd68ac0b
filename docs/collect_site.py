#!/usr/bin/env python3
"""collect_site.py ROOT OUT: the documents of the tree as mkdocs reads them, each at its own path, so that their links hold.

From README.md and its neighbours and docs/, links are followed: a Markdown file is copied, any other file becomes a page
that shows it. A link to a folder, or to a file that is not there, is an error: the site could not follow it.
`<!-- site: TEXT -->` becomes TEXT: what the site alone has.
"""

import pathlib
import re
import shutil
import sys

# Fenced blocks and inline code come first or in between, so that what looks like a link in them is none.
LINK = re.compile(r"^```.*?^```$|(!?\[[^\]]*\])\(([^)\s]+)\)|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LANGUAGES = {".cpp": "cpp", ".hpp": "cpp", ".h": "c", ".c": "c", ".py": "python", ".json": "json", ".yml": "yaml"}


def target_of(link, page, root):
    """The file of the tree that a link leads to; none for addresses and places in the page itself."""
    path = link.split("#")[0]
    if not path or re.match(r"[a-z]+:", path):
        return None
    target = (root / page).parent / path
    return pathlib.Path(target.resolve().relative_to(root))


class Site:
    def __init__(self, root, out):
        self.root, self.out, self.done, self.errors = root, out, set(), []

    def add(self, page):
        """Copies a file of the tree, and whatever it links to."""
        if page in self.done:
            return
        self.done.add(page)
        source = self.root / page
        (self.out / page).parent.mkdir(parents=True, exist_ok=True)
        if page.suffix == ".md":
            (self.out / page).write_text(self.markdown(page, source.read_text(encoding="utf-8")), encoding="utf-8")
        elif page.suffix == ".svg":
            shutil.copy(source, self.out / page)
        else:
            text = source.read_text(encoding="utf-8")
            shown = f"# {page.name}\n\n`{page}`\n\n````{LANGUAGES.get(page.suffix, 'text')}\n{text.rstrip()}\n````\n"
            (self.out / f"{page}.md").write_text(shown, encoding="utf-8")

    def markdown(self, page, text):
        """The text with links to other files than Markdown leading to their pages."""
        def link(match):
            target = self.follow(page, match.group(2)) if match.group(2) else None
            if target is None or target.suffix in (".md", ".svg"):
                return match.group(0)
            return f"{match.group(1)}({match.group(2).split('#')[0]}.md)"

        return LINK.sub(link, re.sub(r"<!-- site: (.*?) -->", r"\1", text))

    def follow(self, page, link):
        try:
            target = target_of(link, page, self.root)
        except ValueError:
            self.errors.append(f"{page}: the link {link} leads out of the tree")
            return None
        if target is None or target.parts[0] == "api":  # the latter is what Doxygen makes
            return None
        if not (self.root / target).is_file():
            what = "a folder" if (self.root / target).is_dir() else "nothing"
            self.errors.append(f"{page}: the link {link} leads to {what}, expected a file")
            return None
        self.add(target)
        return target


def main(arguments):
    if len(arguments) != 2:
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    root = pathlib.Path(arguments[0]).resolve()
    site = Site(root, pathlib.Path(arguments[1]))
    for page in sorted(root.glob("*.md")) + sorted((root / "docs").rglob("*.md")):
        site.add(page.relative_to(root))
    for error in site.errors:
        print(error, file=sys.stderr)
    print(f"{len(site.done)} documents and files")
    return 1 if site.errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
