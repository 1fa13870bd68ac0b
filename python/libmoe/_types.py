"""Types of arguments."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

Path: TypeAlias = str | os.PathLike[str]
#: Token ids: any sequence of integers, or an array of int32, int64 or uint32 [T].
Ids: TypeAlias = Sequence[int] | npt.NDArray[np.integer[Any]]
#: A text, which gets what the tokenizer puts around a text (BOS), or token ids as they are.
Prompt: TypeAlias = str | Ids
#: One turn: {"role": "user", "content": "Hello"}, and whatever else the template reads.
Message: TypeAlias = Mapping[str, Any]
#: Called with (done, total), some ten times a second at most, by the thread that called.
Progress: TypeAlias = Callable[[int, int], object]


class GenerateOptions(TypedDict, total=False):
    """Keyword arguments of Model.generate() and Model.chat()."""

    #: Limit of the reply; 0: as many as context and cache hold. Default 256 (chat: 0).
    max_tokens: int
    #: 0 is greedy: the first maximum. Default 0.
    temperature: float
    #: Only the k highest logits; 0 = all.
    top_k: int
    #: Only the smallest set of best tokens that holds this share; 1 = all.
    top_p: float
    #: Only tokens at least this many times as likely as the best one; 0 = all.
    min_p: float
    #: Same seed, same logits, same tokens. Default 0.
    seed: int
    #: Logits of tokens seen are divided by it where positive, else multiplied; 1 = none.
    repetition_penalty: float
    #: Taken off a token's logit once for every time the reply holds it.
    frequency_penalty: float
    #: Taken off the logit of every token that the reply holds.
    presence_penalty: float
    #: Added to the logits of these ids.
    logit_bias: Mapping[int, float] | None
    #: Texts that end the reply and are no part of it.
    stop: str | Sequence[str]
    #: Ids that end it, beside the model's own end tokens.
    stop_tokens: Ids
    #: The model's own end tokens do not end it.
    ignore_eos: bool
    #: Leave control tokens out of the text. Default True.
    skip_special_tokens: bool
    #: Draw from all rows of the model's head, padding included: what reference programs do with ids.
    all_rows: bool
    #: List so many best tokens with their log-probabilities for each position.
    logprobs: int | None


class ChatOptions(GenerateOptions, total=False):
    """Keyword arguments of Model.chat(): those of generate() and what the template sees."""

    tools: Sequence[Mapping[str, Any]] | None
    documents: Sequence[Mapping[str, Any]] | None
    #: A template's name among the model's, or a Jinja text.
    chat_template: str | None
    #: Further variables of the template: {"enable_thinking": False}.
    template_variables: Mapping[str, Any] | None
    #: The last message is the beginning of the reply, which goes on with it.
    continue_final_message: bool
    #: What time the template is told: "2026-11-27" or "2026-11-27T14:05:00". Default: now.
    date: str | None
