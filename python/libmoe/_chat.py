"""Conversations on their way to the extension module, which takes JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from . import _libmoe
from ._types import Message


def _text(value: object, what: str) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{what}: {error}") from error


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
    out.messages = _text(list(messages), "messages")
    out.tools = _text(list(tools), "tools") if tools is not None else ""
    out.documents = _text(list(documents), "documents") if documents is not None else ""
    out.variables = _text(dict(template_variables), "template_variables") if template_variables else ""
    # A template's text holds a brace, a name never does (transformers decides the same way).
    if chat_template is not None:
        if "{" in chat_template:
            out.template_text = chat_template
        else:
            out.template_name = chat_template
    out.date = date or ""
    out.end = end
    return out


def end_of(add_generation_prompt: bool, continue_final_message: bool) -> str:
    if add_generation_prompt and continue_final_message:
        raise ValueError("add_generation_prompt and continue_final_message: expected at most one of them")
    return "unfinished" if continue_final_message else "reply" if add_generation_prompt else "message"
