#!/usr/bin/env python3
"""check_page.py MOE_EVAL SOURCE [--shots DIR]: what report.html and index.html show, in a headless browser.

Nothing is loaded from outside and nothing runs; no horizontal overflow at 360, 768 and 1280 px in both themes; text is
readable, that of pictures too: none is small, cut or meets another; every number in a table is run.json's. One report is of the nano models, one of the same numbers under hostile
names, with a sweep, joules and expert loads; the index has the same runs beside its published rows, whose numbers are
not run.json's. --shots keeps the screenshots.
"""

import html.parser
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

from devtools import Browser, find_browser

WIDTHS = (360, 768, 1280)
THEMES = ("light", "dark")
# Columns whose numbers the report computes from several of run.json's.
DERIVED = {"compute ×", "experts", "unused", "busiest", "its load ×", "most possible", "distance"}
FORBIDDEN = {"script", "link", "img", "iframe", "object", "embed", "base", "form", "foreignobject", "image", "use", "audio",
             "video", "source"}
HOSTILE = ["<script>alert(1)</script>", "\"quoted\" & 'single' \u202e right to left \x07\x1b[2J",
           "</title></style><img src=x onerror=alert(1)>"]

problems = []


def check(good, what):
    if not good:
        problems.append(what)


class Page(html.parser.HTMLParser):
    """Elements, their attributes, and each table as rows of cells."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.elements, self.numbers, self.cells = [], [], []
        self.columns, self.row, self.in_head = [], [], False
        self.data = self.cell = None
        self.text = ""

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "table":
            self.columns = []
        if tag in ("thead", "tbody"):
            self.in_head = tag == "thead"
        if tag == "tr":
            self.row = []
        if tag in ("td", "th"):
            self.cell = {"text": "", "class": dict(attributes).get("class", ""), "data": None}
        if tag == "data":
            self.data = {"text": "", **dict(attributes)}
            if self.cell is not None:
                self.cell["data"] = self.data

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, text):
        self.text += text
        for part in (self.data, self.cell):
            if part is not None:
                part["text"] += text

    def handle_endtag(self, tag):
        if tag == "data":
            self.numbers.append(self.data)
            self.data = None
        if tag in ("td", "th"):
            if self.in_head:
                self.columns.append(self.cell["text"])
            else:
                self.cell["column"] = self.columns[len(self.row)] if len(self.row) < len(self.columns) else ""
                self.row.append(self.cell)
                self.cells.append(self.cell)
            self.cell = None


def at_pointer(runs, pointer):
    value = runs
    for step in pointer.split("/"):
        step = urllib.parse.unquote(step).replace("~1", "/").replace("~0", "~")
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def is_shown(text, value):
    """Whether `text` is `value` rounded to the digits that it shows."""
    plain = text.replace("\u2212", "-").replace(",", "").lstrip("+")
    mantissa, _, exponent = plain.partition("e")
    digits = len(mantissa.partition(".")[2])
    unit = 10.0 ** (int(exponent or 0) - digits)
    return abs(float(plain) - value) <= unit * 0.5000001 + abs(value) * 1e-12


def check_numbers(page, runs, what, all_have_sources=True):
    for number in page.numbers:
        if "data-at" not in number:
            continue
        found = at_pointer(runs, number["data-at"])
        found = found if isinstance(found, list) else [found]
        exact = [float(x) for x in number["value"].split(" ")]
        check(exact == [float(x) for x in found], f"{what}: {number} is not run.json's {found}")
        shown = number["text"].split(" to ")
        scale = float(number.get("data-scale", 1))
        check(len(shown) == len(found) and all(is_shown(s, v * scale) for s, v in zip(shown, found)),
              f"{what}: shows {number['text']} for {found}")
    for cell in page.cells if all_have_sources else []:
        is_number = "n" in cell["class"].split() and cell["text"] not in ("–", "not measured")
        check(not is_number or (cell["data"] and "data-at" in cell["data"]) or cell["column"] in DERIVED,
              f"{what}: no source for {cell}")


def check_complete(page, runs, what):
    shown = {n["data-at"] for n in page.numbers if "data-at" in n}
    wanted = []
    for r, run in enumerate(runs):
        for m, model in enumerate(run["models"]):
            for t in range(len(model["tasks"])):
                wanted += [f"{r}/models/{m}/tasks/{t}/{key}" for key in (
                    "accuracy", "standard_error", "model_flops_per_question", "seconds", "truncated_questions",
                    "non_finite_questions", "tied_questions", "interval_95")]
        for c, gap in enumerate(run["comparisons"]):
            rows = [f"{r}/comparisons/{c}"]
            rows += [f"{r}/comparisons/{c}/by/{field}/{i}" for field in gap.get("by", {})
                     for i in range(len(gap["by"][field]))]
            wanted += [f"{row}/{key}" for row in rows for key in ("gap", "p_holm", "p_mcnemar", "only_a", "only_b")]
    for at in wanted:
        check(at in shown, f"{what}: {at} is not on the page")


def check_static(text, page, what):
    for tag, attributes in page.elements:
        check(tag not in FORBIDDEN, f"{what}: an element {tag}")
        for key, value in attributes.items():
            check(not key.startswith("on") and key not in ("src", "srcset", "xlink:href", "action"), f"{what}: {tag} {key}")
            check(key != "href" or (value or "").startswith("#"), f"{what}: a link to {value}")
    style = re.search(r"<style>(.*?)</style>", text, re.S).group(1)
    check("url(" not in style and "@import" not in style, f"{what}: the style sheet loads something")
    for character in "\u202e\x07\x1b\x00":
        check(character not in text, f"{what}: {character!r} is in the page")


LUMINANCE = """
(() => {
  const parts = c => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const luminance = c => { const f = parts(c).map(x => x / 255).map(x => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
    return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]; };
  const page = getComputedStyle(document.body).backgroundColor, out = [];
  const add = (color, what) => { const a = luminance(color), b = luminance(page);
    out.push([what, (Math.max(a, b) + .05) / (Math.min(a, b) + .05)]); };
  for (const e of document.querySelectorAll('h1, p, li, td, th, caption, figcaption, summary')) add(getComputedStyle(e).color, e.className || e.tagName);
  for (const e of document.querySelectorAll('svg text')) add(getComputedStyle(e).fill, 'svg text');
  return out.filter(x => x[1] < 4.5);
})()
"""
OUTSIDE = """
[...document.querySelectorAll('body *')].filter(e => !e.closest('.box, style')
  && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 80))
"""
# Each picture occurs once, no wider than the window; its words are readable, inside, and do not overlap.
PICTURES = """
[...document.querySelectorAll('figure')].filter(f => f.checkVisibility()).flatMap(f => {
  const all = [...f.querySelectorAll('svg')].filter(s => s.checkVisibility()), out = [];
  if (all.length != 1) return [['pictures', all.length]];
  const frame = all[0].getBoundingClientRect(), scale = frame.width / all[0].viewBox.baseVal.width;
  const words = [...all[0].querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect(), t]);
  for (const [text, box, t] of words) {
    const size = parseFloat(getComputedStyle(t).fontSize) * scale;
    if (size < 10) out.push([text, 'is small', size]);
    if (box.left < frame.left - 2 || box.right > frame.right + 2 || box.top < frame.top - 2 || box.bottom > frame.bottom + 2)
      out.push([text, 'is cut']);
  }
  for (let i = 0; i < words.length; ++i)
    for (let j = 0; j < i; ++j) {
      const a = words[i][1], b = words[j][1];
      if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4)
        out.push([words[i][0], words[j][0], 'meet']);
    }
  return out;
})
"""


def check_browser(browser, path, what, shots):
    for theme in THEMES:
        for width in WIDTHS:
            where = f"{what}, {theme}, {width} px"
            asked = browser.open(path.as_uri(), width, theme)
            check(asked == [path.as_uri()], f"{where}: asked for {asked}")
            check(browser.value("document.documentElement.scrollWidth") <= width, f"{where}: wider than the window")
            check(browser.value(OUTSIDE) == [], f"{where}: outside: {browser.value(OUTSIDE)}")
            check(browser.value(LUMINANCE) == [], f"{where}: hard to read: {browser.value(LUMINANCE)}")
            check(browser.value(PICTURES) == [], f"{where}: pictures: {browser.value(PICTURES)[:5]}")
            check(browser.value("document.title.length") > 0, f"{where}: no title")
            first = browser.value("document.querySelector('main').children[1].className")
            check(first == "verdict", f"{where}: the verdict is not first but {first}")
            if shots:
                browser.screenshot(shots / f"{what}-{theme}-{width}.png")
    browser.open(path.as_uri(), 794, "dark", media="print")
    check(browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)",
          f"{what}: paper is not white")
    if shots:
        browser.screenshot(shots / f"{what}-paper.png")


def hostile(run):
    """The same numbers under hostile names, with what a run of today may lack."""
    run = json.loads(json.dumps(run))
    old = [m["name"] for m in run["models"]]
    for model, name in zip(run["models"], HOSTILE):
        model["name"] = name
        model["content_hash"] = "one model"
        task = model["tasks"][0]
        task["joules"] = 12.5
        counts = [[(e * 7 + layer * 3) % 11 * 10 for e in range(64)] for layer in range(4)]
        task["experts"] = {"layers": [1, 2, 3, 4], "tokens": 1000, "counts": counts, "entropy_bits": [5.5] * 4,
                           "mean_experts_per_token": 3.75,
                           "subjects": {s: {"tokens": 10, "counts": [row[i:] + row[:i] for row in counts]}
                                        for i, s in enumerate(HOSTILE)}}
    for i, model in enumerate(run["models"]):
        model["top_k"], model["expert_mass"] = i + 1, 0.5 + i / 10
    for gap in run["comparisons"]:
        gap["a"], gap["b"] = (HOSTILE[old.index(gap[key])] for key in ("a", "b"))
    run["models"][0]["tasks"][0]["truncated_questions"] = 3
    return run


def main():
    moe_eval, source = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    shots = pathlib.Path(sys.argv[4]) if len(sys.argv) > 4 else None
    browser_path = find_browser()
    if not browser_path:
        print("SKIPPED report page: chromium is not installed (apt-get install chromium)")
        return 0
    nano = source / "models/nano"
    with tempfile.TemporaryDirectory(prefix="moe_report_page_") as folder:
        out = pathlib.Path(folder)
        command = [moe_eval, "--tasks", nano / "nano_exam.jsonl", "--out", out / "nano"]
        for name in ("nano-moe", "nano-dense-flops", "nano-dense-params"):
            command += ["--model", f"{name}={nano / name}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        run = json.loads((out / "nano/run.json").read_text())
        bad = hostile(run)
        (out / "hostile").mkdir()
        (out / "hostile/run.json").write_text(json.dumps(bad))
        subprocess.run([moe_eval, "report", out / "hostile"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([moe_eval, "report", out / "nano", out / "hostile", "--out", out / "both"], check=True,
                       stdout=subprocess.DEVNULL)
        asked_mmlu = [json.loads(json.dumps(r)) for r in (run, bad)]
        for i, each in enumerate(asked_mmlu):
            each["comparisons"] = []
            for model in each["models"]:
                model["tasks"][0]["task"] = "mmlu"
            (out / f"mmlu-{i}.json").write_text(json.dumps(each))
        subprocess.run([moe_eval, "index", out / "mmlu-0.json", out / "mmlu-1.json", "--out", out / "index"], check=True,
                       stdout=subprocess.DEVNULL)
        browser = Browser(browser_path)
        try:
            path = out / "index/index.html"
            page = Page()
            page.feed(path.read_text())
            check(any(tag == "svg" for tag, _ in page.elements) or not shutil.which("gnuplot"), "index: no picture")
            check_static(path.read_text(), page, "index")
            check_numbers(page, asked_mmlu, "index", all_have_sources=False)
            check(sum(n.get("data-at", "").endswith("/accuracy") for n in page.numbers) == 6, "index: a measured row is missing")
            check_browser(browser, path, "index", shots)
            for what, runs in (("nano", [run]), ("hostile", [bad]), ("both", [run, bad])):
                path = out / what / "report.html"
                text = path.read_text()
                page = Page()
                page.feed(text)
                pictures = sum(tag == "svg" for tag, _ in page.elements)
                if shutil.which("gnuplot"):
                    check(pictures >= (16 if what == "nano" else 24), f"{what}: only {pictures} pictures")
                else:
                    print("SKIPPED pictures of the report: gnuplot is not installed")
                check_static(text, page, what)
                check_numbers(page, runs, what)
                check_complete(page, runs, what)
                check_browser(browser, path, what, shots)
        finally:
            browser.close()
    for problem in problems[:40]:
        print("FAILED", problem)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
