"""Types of arguments."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

Path: TypeAlias = str | os.PathLike[str]
#: Token ids: any sequence of integers, or an array of int32, int64 or uint32 [T].
Ids: TypeAlias = Sequence[int] | npt.NDArray[np.integer[Any]]
#: A text, to which the tokenizer's BOS and EOS are added, or token ids, used unchanged.
Prompt: TypeAlias = str | Ids
#: One turn: {"role": "user", "content": "Hello"}, and other keys that the template reads.
Message: TypeAlias = Mapping[str, Any]
#: Called with (done, total), at most about ten times a second, by the calling thread.
Progress: TypeAlias = Callable[[int, int], object]


class GenerateOptions(TypedDict, total=False):
    """Keyword arguments of Model.generate() and Model.chat()."""

    #: Limit of the reply; 0: as many as fit the context and the cache. Default 256 (chat: 0).
    max_tokens: int
    #: 0 is greedy: the first maximum. Default 0.
    temperature: float
    #: Only the k highest logits; 0 = all.
    top_k: int
    #: Only the fewest best tokens whose probabilities reach this sum; 1 = all.
    top_p: float
    #: Only tokens at least this many times as likely as the best one; 0 = all.
    min_p: float
    #: Same seed, same logits, same tokens. Default 0.
    seed: int
    #: Logits of tokens seen are divided by it where positive, else multiplied; 1 = none.
    repetition_penalty: float
    #: Subtracted from a token's logit for each occurrence in the reply.
    frequency_penalty: float
    #: Subtracted once from the logit of each token in the reply.
    presence_penalty: float
    #: Added to the logits of these ids.
    logit_bias: Mapping[int, float] | None
    #: Texts that end the reply; not part of it.
    stop: str | Sequence[str]
    #: Ids that end it, in addition to the model's own end tokens.
    stop_tokens: Ids
    #: The model's own end tokens do not end it.
    ignore_eos: bool
    #: Leave control tokens out of the text. Default True.
    skip_special_tokens: bool
    #: Sample from all rows of the model's head, padding included, as reference programs do.
    all_rows: bool
    #: List this many top tokens with their log-probabilities for each position.
    logprobs: int | None


class ChatOptions(GenerateOptions, total=False):
    """Keyword arguments of Model.chat(): those of generate() and what the template sees."""

    tools: Sequence[Mapping[str, Any]] | None
    documents: Sequence[Mapping[str, Any]] | None
    #: A template's name among the model's, or a Jinja text.
    chat_template: str | None
    #: More variables for the template: {"enable_thinking": False}.
    template_variables: Mapping[str, Any] | None
    #: The last message is the beginning of the reply, which the model continues.
    continue_final_message: bool
    #: The time that the template sees: "2026-11-27" or "2026-11-27T14:05:00". Default: now.
    date: str | None
