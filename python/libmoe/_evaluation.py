"""Evaluation: accuracy with standard errors, and the FLOPs of the answers."""

import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from . import _chat, _check, _libmoe
from ._libmoe import ResultRow, builtin_task_names
from ._model import Model
from ._types import Path, Progress

__all__ = ["Report", "ResultRow", "builtin_task_names", "evaluate"]


_log = logging.getLogger("libmoe")
_MOST = 2**31 - 1


class Report:
    """The result of an evaluation; str() gives the tables that moe-eval prints."""

    def __init__(self, native: _libmoe.Evaluation) -> None:
        self._native = native

    @property
    def rows(self) -> list[ResultRow]:
        """One for each model and task: metrics, standard errors, GFLOPs per question."""
        return self._native.rows()

    def to_dict(self) -> dict[str, Any]:
        """All results, as in run.json (docs/EVALUATION.md)."""
        found: dict[str, Any] = json.loads(self._native.run_file())
        return found

    def tables(self, *, columns: int = 100, verbose: bool = False) -> str:
        """Tables, verdicts and a chart as text, at most ``columns`` wide."""
        return self._native.tables(
            _check.integer("columns", columns, least=40, most=_MOST), _check.flag("verbose", verbose)
        )

    def __str__(self) -> str:
        return self.tables()

    def __repr__(self) -> str:
        return f"Report({self.rows!r})"


def evaluate(
    models: Model | Path | Mapping[str, Model | Path],
    tasks: str | Sequence[str],
    *,
    data: Path | None = None,
    num_fewshot: int | None = None,
    limit: float | None = None,
    seed: int = 1234,
    max_length: int | None = None,
    system_instruction: str = "",
    apply_chat_template: bool | str = False,
    chat_template: str | None = None,
    fewshot_as_multiturn: bool | None = None,
    chat_template_args: Mapping[str, Any] | None = None,
    chat_date: str | None = None,
    enable_thinking: bool | None = None,
    think_end_token: str | None = None,
    baseline: str | None = None,
    cache: Path | None = None,
    out: Path | None = None,
    threads: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Evaluates models on tasks, like moe-eval: the same prompts, scores and files.

    ``models``: one, or a dict of names; a path is loaded when its turn comes, so only one of them is in
    memory at a time.
    ``tasks``: built-in names, PATH.json (a task file) or PATH.jsonl (multiple-choice questions).
    ``data``: the folder with questions/ and fewshot/ of built-in tasks.
    ``limit``: the first questions of each subtask, or that share of them below 1; None: all.
    ``max_length``: most tokens that the model sees; None: its context.
    ``apply_chat_template``: use the model's chat template. A name, as in lm-evaluation-harness, must exist and
    is reported, but "default" renders the prompts. ``chat_template``: use this one: a template's name, or a
    Jinja text.
    ``fewshot_as_multiturn``: worked examples are turns of the conversation (by default) or inside one message.
    ``chat_template_args``: variables of the template; ``chat_date``: the date that it sees, by default today;
    ``enable_thinking``: a variable of that name: True needs ``think_end_token`` and generation tasks.
    ``think_end_token``: a reply's answer begins after the last of these texts: "</think>".
    ``baseline``: the model that all others are compared with; else every pair.
    ``cache``: a file that stores every answer, as moe-eval's --cache: the same call, or moe-eval, continues
    from there. A Model must have been loaded with content_hash=True.
    ``out``: a folder for run.json and the reference harness's result files.
    ``progress``: called with (answers scored, answers in total) of each task in turn.

    Errors: NotFoundError, FileFormatError, ArgumentError naming task, question or model; those of Model().
    """
    asked = _models(models)
    names = _task_names(tasks)
    _check.callback("progress", progress)
    settings = _questions(data, num_fewshot, limit, seed, max_length)
    settings.system_instruction = _check.text("system_instruction", system_instruction)
    settings.fewshot_as_multiturn = _check.or_none(_check.flag, "fewshot_as_multiturn", fewshot_as_multiturn)
    settings.enable_thinking = _check.or_none(_check.flag, "enable_thinking", enable_thinking)
    settings.think_end = "" if think_end_token is None else _check.text("think_end_token", think_end_token)
    settings.cache = "" if cache is None else _check.path("cache", cache)
    settings.baseline = _baseline(baseline, asked)
    _set_chat(settings, apply_chat_template, chat_template, chat_template_args, chat_date)
    directory = "" if out is None else _check.path("out", out)
    threads = _check.integer("threads", threads, most=_MOST)
    return Report(_ask(_libmoe.Evaluation(names, settings), asked, directory, bool(settings.cache), threads, progress))


def _task_names(tasks: str | Sequence[str]) -> list[str]:
    names = [_check.text("tasks", tasks)] if isinstance(tasks, str) else _check.texts("tasks", tasks)
    if not names:
        raise _check.refusal("tasks is empty, expected at least one")
    return names


def _questions(
    data: Path | None, num_fewshot: int | None, limit: float | None, seed: int, max_length: int | None
) -> _libmoe.EvaluationSettings:
    settings = _libmoe.EvaluationSettings()
    settings.data = "" if data is None else _check.path("data", data)
    settings.num_fewshot = _check.or_none(_check.integer, "num_fewshot", num_fewshot)
    settings.limit = _limit(limit)
    settings.seed = _check.integer("seed", seed, most=2**64 - 1)
    settings.max_length = 0 if max_length is None else _check.integer("max_length", max_length, least=2)
    return settings


def _baseline(baseline: str | None, asked: Mapping[str, Model | Path]) -> str:
    if baseline is not None and _check.text("baseline", baseline) not in asked:
        raise _check.wrong_value("baseline", baseline, "one of " + ", ".join(map(repr, asked)))
    return baseline or ""


def _ask(
    native: _libmoe.Evaluation,
    asked: Mapping[str, Model | Path],
    directory: str,
    is_kept: bool,
    threads: int,
    progress: Progress | None,
) -> _libmoe.Evaluation:
    # Errors are found now, not after earlier models have run for an hour.
    for name, model in asked.items():
        if isinstance(model, Model) and is_kept and not model.content_hash:
            raise _check.refusal(f"cache: model {name!r} has no content_hash, expected Model(.., content_hash=True)")
        info = model.info if isinstance(model, Model) else _libmoe.inspect(_check.path(f"models[{name!r}]", model))
        for note in native.plan(name, info):
            _log.warning("%s", note)
    native.check(list(asked), directory)
    for name, model in asked.items():
        if not isinstance(model, Model):
            model = Model(model, threads, content_hash=bool(directory) or is_kept)
        native.ask(name, model._native, progress)
    native.keep()
    if directory:
        native.write(directory)
    return native


def _models(models: Model | Path | Mapping[str, Model | Path]) -> dict[str, Model | Path]:
    if isinstance(models, (Model, str, os.PathLike)):
        return {_name_of(models): models}
    asked = dict(_check.mapping("models", models))
    if not asked:
        raise _check.refusal("models is empty, expected at least one")
    for name in asked:
        _check.text("a name in models", name)
    return asked


def _limit(limit: float | None) -> float:
    if limit is None:
        return 0.0
    found = _check.number("limit", limit)
    if not 0 < found < math.inf:
        raise _check.wrong_value("limit", limit, "a number above 0, or None for all questions")
    return found


def _set_chat(
    settings: _libmoe.EvaluationSettings,
    applied: bool | str,
    template: str | None,
    variables: Mapping[str, Any] | None,
    date: str | None,
) -> None:
    if applied == "" or not isinstance(applied, (bool, str)):
        raise _check.wrong_type("apply_chat_template", applied, "True, False or a template's name")
    if isinstance(applied, str) and template is not None:
        raise _check.refusal("chat_template and a name in apply_chat_template say two things")
    if not applied and template is None:
        for name, value in (
            ("fewshot_as_multiturn", settings.fewshot_as_multiturn or None),
            ("chat_template_args", variables),
            ("chat_date", date),
            ("enable_thinking", settings.enable_thinking),
        ):
            if value is not None:
                raise _check.refusal(f"{name} is {_check.shown(value)}, expected apply_chat_template=True with it")
        return
    if settings.enable_thinking and not settings.think_end:
        raise _check.refusal("enable_thinking is True, expected a think_end_token with it")
    settings.reported_template = applied if isinstance(applied, str) else ""
    if template is not None and not _check.text("chat_template", template):
        raise _check.wrong_value("chat_template", template, "a template's name or a Jinja text")
    chat = _chat.request([], end="reply", chat_template=template, date=date)
    chat.variables = _chat.variables(variables, "chat_template_args")
    settings.chat = chat


def _name_of(model: Model | Path) -> str:
    path = model.path if isinstance(model, Model) else _check.path("models", model)
    return os.path.basename(os.path.normpath(path)) or path
