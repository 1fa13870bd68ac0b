"""The reference harness asks libmoe: every answer is moe-eval's, to the bit."""

import json
import logging
import os
import pathlib
import re
import subprocess
import sys
import types

import pytest

from conftest import CHATML, EXAM, NANO, ROOT, program

pytest.importorskip("lm_eval", reason="lm-eval is not installed")

DATA = pathlib.Path(os.environ.get("MOE_DATA_DIR", ROOT.parent / "shared" / "data"))
REAL = pathlib.Path(os.environ.get("MOE_MODEL_DIR", ROOT / "models" / "real")) / "SmolLM2-135M-Instruct.Q4_1.gguf"

TASKS = {
    "nano_exam": """
dataset_kwargs: {data_files: {test: "%(exam)s"}}
output_type: multiple_choice
process_docs: !function steps.asked
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: "{{choices}}"
doc_to_target: answer
""",
    "arc_easy": """
dataset_kwargs: {data_files: {test: "%(data)s/questions/arc_easy.jsonl"}}
output_type: multiple_choice
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: "{{choices}}"
doc_to_target: answer
""",
    "hellaswag": """
dataset_kwargs: {data_files: {test: "%(data)s/questions/hellaswag.jsonl"}}
output_type: multiple_choice
process_docs: !function steps.unbracketed
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: answer
""",
    "gsm8k": """
dataset_kwargs: {data_files: {test: "%(data)s/questions/gsm8k.jsonl", train: "%(data)s/fewshot/gsm8k.jsonl"}}
output_type: generate_until
fewshot_split: train
num_fewshot: 5
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: "{{answer_text}}"
generation_kwargs: {until: ["Question:", "</s>", "<|im_end|>"], do_sample: false, temperature: 0.0}
""",
}

STEPS = '''
import re


def asked(docs):
    return docs.filter(lambda doc: doc["split"] == "test")


def unbracketed(docs):
    def plain(text):
        text = text.strip().replace(" [title]", ". ")
        return re.sub(r"\\[.*?\\]", "", text).replace("  ", " ")

    return docs.map(lambda d: {"question": plain(d["question"]), "choices": [plain(c) for c in d["choices"]]})
'''


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    """lm-eval with these tasks and no others, without a network."""
    folder = tmp_path_factory.mktemp("lm_eval")
    os.environ.update(HF_HOME=str(folder / "hf"), HF_DATASETS_OFFLINE="1", HF_HUB_OFFLINE="1")
    (folder / "steps.py").write_text(STEPS)
    for name, text in TASKS.items():
        head = f"task: {name}\ndataset_path: json\ntest_split: test\n"
        metric = "exact_match" if "generate_until" in text else "acc"
        tail = f"metric_list: [{{metric: {metric}, aggregation: mean, higher_is_better: true}}]\n"
        (folder / f"{name}.yaml").write_text(head + text.strip() % {"exam": EXAM, "data": DATA} + "\n" + tail)
    import lm_eval
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    manager = TaskManager(include_path=str(folder), include_defaults=False)

    def ask(model, task, limit, **options):
        found = lm_eval.simple_evaluate(
            model=model, tasks=[task], limit=limit, task_manager=manager, log_samples=True, bootstrap_iters=0, **options
        )
        return {s["doc"]["id"]: s["resps"] for s in found["samples"][task]}

    return types.SimpleNamespace(ask=ask, folder=folder)


def moe_eval(path, task, limit, out, *options):
    if task == "nano_exam":
        task = str(EXAM)
    subprocess.run(
        [program("moe-eval"), "--model", f"m={path}", "--tasks", task, "--data", DATA, "--limit", str(limit), "--out", out, *options],
        check=True, capture_output=True,
    )
    (samples,) = pathlib.Path(out).glob("m/samples_*.jsonl")
    return {s["doc"]["id"]: s["resps"] for s in map(json.loads, samples.read_text().splitlines())}


def plain(resps):
    """What JSON makes of it: tuples are lists there, and True is a text in the harness's files."""
    return [[[float(x[0]), str(x[1])] if isinstance(x, (list, tuple)) else x for x in resp] for resp in resps]


@pytest.mark.parametrize(
    "path, task, limit",
    [(NANO, "nano_exam", 400), (NANO, "arc_easy", 60), (NANO, "hellaswag", 30), (NANO, "gsm8k", 6),
     (REAL, "arc_easy", 12), (REAL, "hellaswag", 6), (REAL, "gsm8k", 2)],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_answers_are_moe_evals(harness, tmp_path, path, task, limit):
    if not path.exists():
        pytest.skip(f"{path} is not there")
    if task != "nano_exam" and not DATA.exists():
        pytest.skip(f"{DATA} is not there")
    from libmoe.lm_eval import MoeLM

    expected = moe_eval(path, task, limit, tmp_path / "c")
    found = harness.ask(MoeLM(str(path), batch_size=8), task, limit)
    assert len(found) == limit and found.keys() == expected.keys()
    for question, resps in found.items():
        assert plain(resps) == plain(expected[question]), question


@pytest.mark.parametrize("task, limit", [("arc_easy", 8), ("gsm8k", 1)])
def test_chat_answers_are_moe_evals(harness, tmp_path, task, limit):
    if not REAL.exists() or not DATA.exists():
        pytest.skip(f"{REAL} or {DATA} is not there")
    from libmoe.lm_eval import MoeLM

    expected = moe_eval(REAL, task, limit, tmp_path / "c", "--apply-chat-template")
    found = harness.ask(MoeLM(str(REAL)), task, limit, apply_chat_template=True, fewshot_as_multiturn=True)
    assert len(found) == limit and found.keys() == expected.keys()
    for question, resps in found.items():
        assert plain(resps) == plain(expected[question]), question


def test_command_line(harness, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "libmoe.lm_eval", "run", "--model", "libmoe", "--model_args", f"pretrained={NANO}",
         "--tasks", "nano_exam", "--include_path", harness.folder, "--limit", "40", "--log_samples", "--output_path",
         tmp_path / "out", "--batch_size", "16"],
        capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (results,) = (tmp_path / "out").glob("*/results_*.json")
    found = json.loads(results.read_text())
    assert found["results"]["nano_exam"]["acc,none"] > 0.5
    assert re.fullmatch("[0-9a-f]{64}", found["config"]["model_sha"])


def test_entry_point():
    from importlib.metadata import entry_points

    from libmoe.lm_eval import MoeLM

    found = [e for e in entry_points(group="lm_eval.models") if e.name == "libmoe"]
    if not found:
        pytest.skip("libmoe is not installed here")
    assert found[0].load() is MoeLM


@pytest.fixture(scope="module")
def lm():
    from libmoe.lm_eval import MoeLM

    return MoeLM(str(NANO))


def request(*args):
    return types.SimpleNamespace(args=args)


def test_replies_are_greedy(lm):
    (reply,) = lm.generate_until([request("Question: Who\nAnswer:", {"until": ["\n"], "max_gen_toks": 8})], True)
    assert "\n" not in reply
    for wrong in ({"temperature": 0.7, "do_sample": True}, {"num_beams": 4}):
        with pytest.raises(ValueError, match="greedily"):
            lm.generate_until([request("a", dict(until=[], **wrong))], True)


def test_failures_are_the_worst_answer(lm, caplog):
    with caplog.at_level(logging.WARNING, "libmoe"):
        (bad, good) = lm.loglikelihood([request("a", " b" * 3000), request("a", " b")], True)
    assert bad == (float("-inf"), False) and good[0] < 0 and "too_long" in caplog.text


def test_contexts_that_are_cut_are_told(lm, caplog):
    with caplog.at_level(logging.WARNING, "libmoe"):
        lm.loglikelihood([request("word " * 3000, " b")], True)
    assert "cut from the left" in caplog.text


def test_chat_templates(lm):
    from libmoe.lm_eval import MoeLM

    assert lm.chat_template(False) == "" and lm.chat_template(True) == "" and "nano-moe" in lm.tokenizer_name
    talking = MoeLM(str(NANO))
    refuses = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML
    talking._variables = {"chat_template": refuses}
    history = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    text = talking.apply_chat_template(history)
    assert "S" not in text.split("\n") and text.endswith("<|im_start|>assistant\n")
    assert talking.apply_chat_template(history[1:] + [{"role": "assistant", "content": "The"}], False).endswith("The")


@pytest.mark.parametrize("wrong", [dict(device="cuda:1"), dict(enable_thinking="maybe"), dict(pretrained="/nowhere"),
                                   dict(max_length=-1), dict(nothing=1)])
def test_wrong_arguments(wrong):
    from libmoe.lm_eval import MoeLM

    with pytest.raises((ValueError, TypeError, FileNotFoundError)):
        MoeLM(**{"pretrained": str(NANO), **wrong})
