import json
import subprocess

import pytest

import libmoe
from conftest import EXAM, NANO, ROOT, program

DENSE = ROOT / "models" / "nano" / "nano-dense-flops"


def samples(folder):
    (path,) = folder.glob("**/samples_*.jsonl")
    return {s["doc"]["id"]: s["resps"] for s in map(json.loads, path.read_text().splitlines())}


def test_rows_and_tables(model):
    seen = []
    report = libmoe.evaluate(model, str(EXAM), limit=40, progress=lambda done, total: seen.append((done, total)))
    (row,) = report.rows
    assert (row.model, row.task, row.questions) == ("nano-moe", "nano_exam", 40)
    assert 0.5 < row.metrics["acc,none"] <= 1 and row.standard_errors["acc,none"] > 0
    assert row.gflops_per_question > 0 and row.seconds > 0
    assert "nano_exam" in str(report) and "nano-moe" in repr(report)
    assert report.to_dict()["models"] and max(len(line) for line in report.tables(columns=60).splitlines()) <= 100
    assert seen[-1][0] == seen[-1][1]
    with pytest.raises(libmoe.ArgumentError, match="columns"):
        report.tables(columns=5)


def test_several_models(model):
    report = libmoe.evaluate({"moe": model, "dense": DENSE}, [str(EXAM)], limit=30, baseline="dense")
    assert [r.model for r in report.rows] == ["moe", "dense"] and "moe - dense" in str(report)


def test_same_bits_and_files_as_moe_eval(tmp_path):
    eval_program = program("moe-eval")
    subprocess.run(
        [eval_program, "--model", f"nano-moe={NANO}", "--tasks", EXAM, "--limit", "100", "--out", tmp_path / "c",
         "--threads", "1"],
        check=True, capture_output=True,
    )
    libmoe.evaluate(NANO, str(EXAM), limit=100, out=tmp_path / "py", threads=2)
    assert samples(tmp_path / "py") == samples(tmp_path / "c")
    ours, theirs = (json.loads((tmp_path / d / "run.json").read_text()) for d in ("py", "c"))
    assert ours.keys() == theirs.keys()
    assert ours["models"][0].keys() == theirs["models"][0].keys()


TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"


def chat_folder(tmp_path, text=TEMPLATE):
    folder = tmp_path / "chatty"
    folder.mkdir()
    for file in NANO.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "chat_template.jinja").write_text(text)
    return folder


def test_chat_templates_and_the_cache_are_moe_evals(tmp_path):
    folder, store = chat_folder(tmp_path), tmp_path / "runs.db"
    command = [program("moe-eval"), "--model", f"m={folder}", "--tasks", EXAM, "--limit", "30", "--threads", "1"]
    chat = ["--apply-chat-template", "--fewshot-as-multiturn", "false", "--chat-date", "2026-11-28",
            "--chat-template-args", '{"a": 1}']
    run = lambda *more: subprocess.run([*command, *more], check=True, capture_output=True)  # noqa: E731
    run("--out", tmp_path / "plain")
    run("--out", tmp_path / "c", "--cache", store, *chat)
    options = dict(limit=30, apply_chat_template=True, fewshot_as_multiturn=False, chat_date="2026-11-28",
                   chat_template_args={"a": 1})
    report = libmoe.evaluate({"m": folder}, str(EXAM), out=tmp_path / "py", cache=store, **options)
    assert samples(tmp_path / "py") == samples(tmp_path / "c") != samples(tmp_path / "plain")
    ours, theirs = (json.loads((tmp_path / d / "run.json").read_text()) for d in ("py", "c"))
    assert ours["models"][0].keys() == theirs["models"][0].keys()
    # moe-eval had stored every answer under the same keys: nothing was computed.
    assert ours["models"][0]["tasks"][0]["executed"]["total"] == 0
    assert report.rows[0].gflops_per_question > 0
    libmoe.evaluate({"m": folder}, str(EXAM), out=tmp_path / "other", cache=store, limit=30)
    other = json.loads((tmp_path / "other" / "run.json").read_text())
    assert other["models"][0]["tasks"][0]["executed"]["total"] > 0
    named = libmoe.evaluate({"m": folder}, str(EXAM), limit=30, chat_template=TEMPLATE.replace("assistant", "you"))
    assert named.rows[0].metrics


def test_a_model_in_memory_and_the_cache(tmp_path):
    model = libmoe.Model(NANO, content_hash=True)
    for _ in range(2):
        report = libmoe.evaluate(model, str(EXAM), limit=10, cache=tmp_path / "runs.db")
    assert report.to_dict()["models"][0]["tasks"][0]["executed"]["total"] == 0


@pytest.mark.parametrize(
    "options, says",
    [
        (dict(apply_chat_template=True), "chat template"),  # the nano models have none
        (dict(apply_chat_template=True, chat_template="absent"), "absent"),
        (dict(apply_chat_template="x", chat_template="y"), "say two things"),
        (dict(apply_chat_template=""), "apply_chat_template is ''"),
        (dict(chat_template=TEMPLATE, chat_template_args="x"), "chat_template_args is 'x'"),
        (dict(chat_template="{{ raise_exception('not so') }}"), "not so"),
        (dict(chat_template=TEMPLATE, chat_date="some day"), "some day"),
        (dict(chat_template=TEMPLATE, enable_thinking=True), "think_end_token"),
        (dict(chat_template=TEMPLATE, enable_thinking=True, think_end_token="</t>"), "nano_exam"),
        (dict(fewshot_as_multiturn=True), "fewshot_as_multiturn is True"),
        (dict(chat_date="2026-11-28"), "chat_date is"),
        (dict(cache="."), "."),
    ],
)
def test_wrong_chat_options(model, options, says):
    with pytest.raises((libmoe.Error, TypeError)) as caught:
        libmoe.evaluate(libmoe.Model(NANO, threads=1, content_hash=True), str(EXAM), limit=2, **options)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "call, kind",
    [
        (lambda m: libmoe.evaluate(m, "no_such_task"), FileNotFoundError),
        (lambda m: libmoe.evaluate(m, "arc_easy"), ValueError),
        (lambda m: libmoe.evaluate(m, "arc_easy", data="/nowhere"), libmoe.Error),
        (lambda m: libmoe.evaluate(m, []), ValueError),
        (lambda m: libmoe.evaluate({}, str(EXAM)), ValueError),
        (lambda m: libmoe.evaluate(m, [str(EXAM), str(EXAM)]), ValueError),
        (lambda m: libmoe.evaluate(m, str(EXAM), baseline="other"), ValueError),
        (lambda m: libmoe.evaluate({"a": m, "b": "/nowhere"}, str(EXAM), limit=1), FileNotFoundError),
        (lambda m: libmoe.evaluate(m, str(EXAM), limit=1, out="/proc/none"), libmoe.Error),
    ],
)
def test_errors(model, call, kind):
    with pytest.raises(kind):
        call(model)


def test_builtin_tasks():
    assert "arc_easy" in libmoe.builtin_task_names()


def test_quantize(tmp_path):
    seen = []
    target = tmp_path / "nano.gguf"
    report = libmoe.quantize(NANO, target, "q8_0", progress=lambda done, total: seen.append((done, total)))
    assert target.stat().st_size == report.file_bytes_after and seen
    assert {f.name for f in report.formats} >= {"q8_0", "f32"}
    assert all(f.relative_rms_error < 0.02 for f in report.formats) and "q8_0" in repr(report)
    assert libmoe.Model(target).generate("Question: Who", max_tokens=4).tokens
    for wrong in (
        lambda: libmoe.quantize(NANO, target, "q8_0"),
        lambda: libmoe.quantize(NANO, tmp_path / "b.gguf", "q1_z"),
        lambda: libmoe.quantize(NANO, tmp_path / "b.gguf", head="q1_z"),
    ):
        with pytest.raises(libmoe.ArgumentError):
            wrong()
    with pytest.raises(libmoe.Error):
        libmoe.quantize(target, tmp_path / "b.gguf", "q4_0")
    libmoe.quantize(target, tmp_path / "b.gguf", "q4_0", requantize=True)
    one = libmoe.quantize(NANO, tmp_path / "one.gguf", "q8_0", threads=1)
    assert (tmp_path / "one.gguf").read_bytes() == target.read_bytes() and one.notes == report.notes


def test_an_exception_while_quantizing_leaves_no_file(tmp_path):
    def report(done, total):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        libmoe.quantize(NANO, tmp_path / "x.gguf", progress=report)
    assert list(tmp_path.iterdir()) == []
