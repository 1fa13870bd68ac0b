"""Accuracy with its error bar beside the FLOPs that the answers cost."""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from . import _libmoe
from ._libmoe import ResultRow, builtin_task_names
from ._model import Model
from ._types import Path, Progress

__all__ = ["Report", "ResultRow", "builtin_task_names", "evaluate"]


class Report:
    """What an evaluation found; str() of it is the tables that moe-eval prints."""

    def __init__(self, native: _libmoe.Evaluation) -> None:
        self._native = native

    @property
    def rows(self) -> list[ResultRow]:
        """One for each model and task: metrics, standard errors, GFLOPs per question."""
        return self._native.rows()

    def to_dict(self) -> dict[str, Any]:
        """Everything, as run.json holds it (docs/EVALUATION.md)."""
        found: dict[str, Any] = json.loads(self._native.run_file())
        return found

    def tables(self, *, columns: int = 100, verbose: bool = False) -> str:
        """Tables, verdicts and a chart as text, at most ``columns`` wide."""
        return self._native.tables(columns, verbose)

    def __str__(self) -> str:
        return self.tables()

    def __repr__(self) -> str:
        return f"Report({self.rows!r})"


def evaluate(
    models: Model | Path | Mapping[str, Model | Path],
    tasks: str | Sequence[str],
    *,
    data: Path = "",
    num_fewshot: int | None = None,
    limit: float = 0,
    seed: int = 1234,
    max_length: int = 0,
    system_instruction: str = "",
    baseline: str = "",
    out: Path | None = None,
    threads: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Asks models tasks, as moe-eval does: same prompts, same scores, same files.

    ``models``: one, or a dict of names; a path is loaded for its turn, so one of those is in memory at a time.
    ``tasks``: built-in names, PATH.json (a task file) or PATH.jsonl (multiple-choice questions).
    ``data``: the folder with questions/ and fewshot/ of built-in tasks.
    ``limit``: the first questions of each subtask, or that share of them below 1; 0 = all.
    ``max_length``: tokens that the model sees at most; 0: what it was made for.
    ``baseline``: the model that gaps are taken against; else every pair.
    ``out``: a folder for run.json and the reference harness's result files.
    ``progress``: called with (answers scored, answers in total) of each task in turn.

    Errors: NotFoundError, FileFormatError, ArgumentError naming task, question or model; those of Model().
    """
    asked = dict(models) if isinstance(models, Mapping) else {_name_of(models): models}
    if not asked:
        raise ValueError("models: expected at least one")
    if baseline and baseline not in asked:
        raise ValueError(f"baseline is {baseline!r}, expected one of {', '.join(asked)}")
    settings = _libmoe.EvaluationSettings()
    settings.data = os.fspath(data)
    settings.started = datetime.now().isoformat()
    settings.num_fewshot = num_fewshot
    settings.limit = limit
    settings.seed = seed
    settings.max_length = max_length
    settings.system_instruction = system_instruction
    settings.baseline = baseline
    names = [tasks] if isinstance(tasks, str) else list(tasks)
    if not names:
        raise ValueError("tasks: expected at least one")
    native = _libmoe.Evaluation(names, settings)
    directory = "" if out is None else os.fspath(out)
    native.check(list(asked), directory)
    for name, model in asked.items():
        if not isinstance(model, Model):
            model = Model(model, threads, content_hash=bool(directory))
        native.ask(name, model._native, progress)
    if directory:
        native.write(directory)
    return Report(native)


def _name_of(model: Model | Path) -> str:
    path = model.path if isinstance(model, Model) else os.fspath(model)
    return os.path.basename(os.path.normpath(path)) or path
