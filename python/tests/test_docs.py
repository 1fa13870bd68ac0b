"""The Python of docs/PYTHON.md and README.md runs as it stands, and types check."""

import os
import re
import subprocess
import sys

import pytest

from conftest import ROOT


def run_blocks(page, folder):
    """All blocks of a page as one program."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)
    assert blocks, page
    done = subprocess.run([sys.executable, "-c", "\n".join(blocks)], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "leaked" not in done.stderr
    return done


def test_the_readme_runs(tmp_path):
    import libmoe

    libmoe.quantize(ROOT / "models/nano/nano-moe", tmp_path / "model.gguf", "f16")
    text, probabilities = run_blocks("README.md", tmp_path).stdout.rsplit("\n", 2)[:2]
    assert text
    values = [float(value) for value in re.findall(r"[0-9.e-]+", probabilities)]
    assert len(values) == 2 and abs(sum(values) - 1) < 1e-3


def test_the_page_runs(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "models").symlink_to(ROOT / "models")
    done = run_blocks("docs/PYTHON.md", tmp_path)
    assert (tmp_path / "accuracy.png").stat().st_size > 5000
    assert "nano-moe" in done.stdout and "not_found" in done.stdout


EXAMPLE = """
import numpy as np
import numpy.typing as npt

import libmoe

model = libmoe.Model("model.gguf", threads=2, kv="bf16")
reply: libmoe.Generation = model.generate("text", max_tokens=3, stop=["a"])
by_ids: libmoe.Generation = model.generate([1, 2, 3], temperature=0.5, logit_bias={3: 1.0})
by_array: libmoe.Generation = model.generate(np.array([1, 2, 3]), seed=3)
several: list[libmoe.Generation] = model.generate(["a", "b"])
drafts: list[libmoe.Generation] = model.generate("a", n=2)
lists: list[list[libmoe.Generation]] = model.generate(["a", "b"], n=2)
for piece in model.generate("text", stream=True):
    text: str = piece.text
chat: libmoe.Generation = model.chat([{"role": "user", "content": "x"}], template_variables={"a": 1})
score: libmoe.Score = model.score("a", "b")
scores: list[libmoe.Score] = model.score("a", ["b", "c"])
many: list[list[libmoe.Score]] = model.score(["a"], [["b", "c"]])
best: int = model.choose("a", ["b"]).best
session: libmoe.Session = model.session(kv="f32")
logits: npt.NDArray[np.float32] = session.step(session.open(), [1, 2], logits="all")
rows: list[npt.NDArray[np.float32]] = session.step_batch([(0, [1])])
ids: list[int] = model.tokenizer.apply_chat_template([{"role": "user", "content": "x"}])
shown: str = model.tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)
experts, weights = libmoe.route(np.zeros((1, 4), np.float32), libmoe.RouterConfig(4, 2))
chosen: npt.NDArray[np.int32] = experts
report = libmoe.evaluate(
    {"a": model, "b": "path"}, ["task"], apply_chat_template=True, cache="runs.db", progress=lambda done, total: None
)
accuracy: float = report.rows[0].metrics["acc,none"]
total: int = model.flops(3).total + session.executed.total
try:
    libmoe.quantize("a", "b", "q8_0")
except libmoe.Error as error:
    code: str = error.code
"""

WRONG = [
    ('model.generate("text", heat=1)', "heat"),
    ('model.generate("text", max_tokens="3")', "max_tokens"),
    ('libmoe.Model("a", kv="f64")', "kv"),
    ('session.step(0, "text", logits="some")', "logits"),
    ("number: int = model.perplexity('a')", "number"),
    ("libmoe.nothing()", "nothing"),
]


def mypy(tmp_path, code):
    pytest.importorskip("mypy")
    (tmp_path / "example.py").write_text(code)
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", ROOT / "pyproject.toml", "example.py"],
        cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "MYPYPATH": os.environ.get("PYTHONPATH", "")},
    )


def test_examples_type_check(tmp_path):
    done = mypy(tmp_path, EXAMPLE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_types_find_mistakes(tmp_path):
    lines = EXAMPLE.split("try:")[0] + "".join(f"{line}\n" for line, _ in WRONG)
    done = mypy(tmp_path, lines)
    first = EXAMPLE.split("try:")[0].count("\n")
    for i, (line, _) in enumerate(WRONG):
        assert f"example.py:{first + 1 + i}: error" in done.stdout, f"{line} passed:\n{done.stdout}"


def test_pyright_agrees(tmp_path):
    """Where pyright is installed: it fetches a part of itself with node when it first runs."""
    pytest.importorskip("pyright")
    (tmp_path / "example.py").write_text(EXAMPLE)
    (tmp_path / "wrong.py").write_text(EXAMPLE.split("try:")[0] + "".join(f"{line}\n" for line, _ in WRONG))
    check = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    if subprocess.run([*check, "--version"], capture_output=True).returncode != 0:
        pytest.skip("pyright cannot get the rest of itself")
    done = subprocess.run([*check, "example.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    found = subprocess.run([*check, "wrong.py"], cwd=tmp_path, capture_output=True, text=True).stdout
    first = EXAMPLE.split("try:")[0].count("\n")
    for i, (line, _) in enumerate(WRONG):
        assert f"wrong.py:{first + 1 + i}:" in found, f"{line} passed:\n{found}"


def test_the_package_type_checks(tmp_path):
    pytest.importorskip("mypy")
    pytest.importorskip("lm_eval")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", ROOT / "pyproject.toml", "-p", "libmoe"],
        cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "MYPYPATH": os.environ.get("PYTHONPATH", "")},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_public_things_are_documented():
    import inspect

    import libmoe

    for name in libmoe.__all__:
        thing = getattr(libmoe, name)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            assert thing.__doc__, name
    for name, thing in inspect.getmembers(libmoe.Model, inspect.isfunction):
        assert name.startswith("_") or thing.__doc__, name
