"""Conversations on their way to the extension module, which takes JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from . import _check, _libmoe
from ._types import Message


def _text(name: str, value: object) -> str:
    try:
        return _check.text(name, json.dumps(value, ensure_ascii=False))
    except TypeError as error:
        raise TypeError(f"{name} is no JSON: {error}") from error


def _objects(name: str, value: object) -> str:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise _check.wrong_type(name, value, "a list of dicts")
    return _text(name, [dict(_check.mapping(f"{name}[{i}]", item)) for i, item in enumerate(value)])


def variables(given: Mapping[str, Any] | None, name: str = "template_variables") -> str:
    """Further variables of a template as JSON; empty where there are none."""
    return "" if given is None else _text(name, dict(_check.mapping(name, given)))


def request(
    messages: Sequence[Message],
    *,
    end: str,
    tools: Sequence[Mapping[str, Any]] | None = None,
    documents: Sequence[Mapping[str, Any]] | None = None,
    chat_template: str | None = None,
    template_variables: Mapping[str, Any] | None = None,
    date: str | None = None,
) -> _libmoe.ChatRequest:
    """What _libmoe renders: `end` is 'reply', 'message' or 'unfinished'."""
    out = _libmoe.ChatRequest()
    out.messages = _objects("messages", messages)
    out.tools = _objects("tools", tools) if tools is not None else ""
    out.documents = _objects("documents", documents) if documents is not None else ""
    out.variables = variables(template_variables)
    # A template's text contains a brace, a name never does (the same rule as in transformers).
    if chat_template is not None:
        if "{" in _check.text("chat_template", chat_template):
            out.template_text = chat_template
        else:
            out.template_name = chat_template
    out.date = "" if date is None else _check.text("date", date)
    out.end = end
    return out


def end_of(add_generation_prompt: bool, continue_final_message: bool) -> str:
    _check.flag("add_generation_prompt", add_generation_prompt)
    if _check.flag("continue_final_message", continue_final_message) and add_generation_prompt:
        raise ValueError("add_generation_prompt and continue_final_message: expected at most one of them")
    return "unfinished" if continue_final_message else "reply" if add_generation_prompt else "message"
