"""A model in memory: replies, scores, sessions."""

import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, Unpack, cast, overload

import numpy as np

from . import _chat, _libmoe
from ._libmoe import Choice, Generation, ModelInfo, Score, Session, SessionSettings, Stream, Work
from ._tokenizer import Tokenizer
from ._types import ChatOptions, GenerateOptions, Ids, Message, Path, Progress, Prompt

_TEMPLATE_KEYS = ("tools", "documents", "chat_template", "template_variables", "date")


def _is_single(prompt: object) -> bool:
    """Whether it is one prompt: a text or ids, and no list of those."""
    if isinstance(prompt, (str, np.ndarray)):
        return True
    if not isinstance(prompt, Sequence):
        raise TypeError(f"expected a text, token ids or a list of those, found {type(prompt).__name__}")
    return len(prompt) > 0 and isinstance(prompt[0], (int, np.integer))


class Model:
    """A model file in memory. Any number of threads may use one object at once; answers never depend on that.

    ``path``: a .gguf file, a directory that holds one, or a Hugging Face directory.
    ``threads``: that compute; 0: MOE_THREADS or, where it is unset, the processors this process may use.
    ``precision``: "auto" (int8 activations against integer formats) or "reference".
    ``kv``: what the cache holds: "f32", "f16" or "bf16"; by default f16, and f32 with "reference".
    ``cache_tokens``: room of the cache of generate(), chat() and score(); 0: the model's context. It grows as needed.
    ``top_k``: experts per token, one number or one for each MoE layer; ``expert_mass``: share of the weights that is
    kept. Both: as the model says.
    ``content_hash``: hash all bytes while they are read (evaluate() writes it into run.json).
    ``progress``: called with (bytes done, bytes in total).

    Errors: NotFoundError, FileFormatError, ArgumentError, IoError, OutOfMemoryError; Error with code 'unsupported'.
    """

    def __init__(
        self,
        path: Path,
        threads: int = 0,
        *,
        precision: Literal["auto", "reference"] = "auto",
        kv: Literal["f32", "f16", "bf16"] | None = None,
        cache_tokens: int = 0,
        top_k: int | Sequence[int] | None = None,
        expert_mass: float | None = None,
        content_hash: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self._settings = SessionSettings(precision, _kv(precision, kv), cache_tokens)
        self._native = _libmoe.LoadedModel.load(
            os.fspath(path), threads, self._settings, _top_k(top_k), expert_mass, content_hash, progress
        )

    def with_experts(self, top_k: int | Sequence[int] | None = None, expert_mass: float | None = None) -> "Model":
        """The same weights, routed to other numbers of experts per token. Errors: ArgumentError."""
        other = Model.__new__(Model)
        other._settings = self._settings
        other._native = self._native.with_experts(_top_k(top_k), expert_mass)
        return other

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Errors: Error 'unsupported' when the files have no usable one, saying why."""
        return Tokenizer(self._native)

    @cached_property
    def info(self) -> ModelInfo:
        """What the files say."""
        return self._native.info

    @property
    def path(self) -> str:
        return self._native.path

    @property
    def threads(self) -> int:
        """Threads that compute."""
        return self._native.threads

    @property
    def content_hash(self) -> str:
        """SHA-256 of the model's bytes; empty unless the model was loaded with content_hash=True."""
        return self._native.content_hash

    @property
    def resident_bytes(self) -> int:
        """Bytes of the weights in memory."""
        return self._native.resident_bytes

    # -- replies -----------------------------------------------------------------------------------------------------

    @overload
    def generate(  # type: ignore[overload-overlap]  # a text is a sequence of texts
        self, prompt: str, *, stream: Literal[False] = False, **options: Unpack[GenerateOptions]
    ) -> Generation: ...
    @overload
    def generate(
        self, prompt: Ids, *, stream: Literal[False] = False, **options: Unpack[GenerateOptions]
    ) -> Generation: ...
    @overload
    def generate(
        self, prompt: Sequence[Prompt], *, stream: Literal[False] = False, **options: Unpack[GenerateOptions]
    ) -> list[Generation]: ...
    @overload
    def generate(self, prompt: Prompt, *, stream: Literal[True], **options: Unpack[GenerateOptions]) -> Stream: ...

    def generate(
        self, prompt: Prompt | Sequence[Prompt], *, stream: bool = False, **options: Unpack[GenerateOptions]
    ) -> Generation | list[Generation] | Stream:
        """Replies to a text, to token ids, or to a list of those; ``options`` are those of GenerateOptions.

        One prompt gives a Generation; with ``stream=True`` an iterator of Piece, whose ``result`` is the Generation in
        the end. A list gives a list: what prompts share is computed once, and what one of them cannot have is its own
        ``error``. A reply depends on the model, its settings, prompt and options, and on nothing else.

        What was computed stays in the cache: a prompt that begins like an earlier one costs only its new tokens.
        Errors: ArgumentError (an empty prompt, a prompt beyond the context, an option), Error 'non_finite',
        OutOfMemoryError.
        """
        single = _is_single(prompt)
        if stream:
            if not single:
                raise TypeError("stream=True: expected one prompt, found a list of prompts")
            return Stream(self._native, prompt, dict(options))
        if single:
            return _libmoe.generate(self._native, prompt, dict(options))
        return _libmoe.generate_many(self._native, list(cast(Sequence[Prompt], prompt)), dict(options))

    @overload
    def chat(
        self, messages: Sequence[Message], *, stream: Literal[False] = False, **options: Unpack[ChatOptions]
    ) -> Generation: ...
    @overload
    def chat(self, messages: Sequence[Message], *, stream: Literal[True], **options: Unpack[ChatOptions]) -> Stream: ...

    def chat(
        self, messages: Sequence[Message], *, stream: bool = False, **options: Unpack[ChatOptions]
    ) -> Generation | Stream:
        """The next message of a conversation, as the model's chat template writes it.

        The reply is as long as the context allows unless ``max_tokens`` limits it. Options: those of ChatOptions.
        Errors: those of generate() and of Tokenizer.apply_chat_template().
        """
        given: dict[str, Any] = dict(options)
        template = {key: given.pop(key) for key in _TEMPLATE_KEYS if key in given}
        end = "unfinished" if given.pop("continue_final_message", False) else "reply"
        request = _chat.request(messages, end=end, **template)
        given.setdefault("max_tokens", 0)
        if stream:
            return Stream(self._native, request, given)
        return _libmoe.generate(self._native, request, given)

    # -- scores ------------------------------------------------------------------------------------------------------

    @overload
    def score(self, context: str, continuation: str) -> Score: ...  # type: ignore[overload-overlap]
    @overload
    def score(self, context: str, continuation: Sequence[str]) -> list[Score]: ...  # type: ignore[overload-overlap]
    @overload
    def score(self, context: Sequence[str], continuation: Sequence[Sequence[str]]) -> list[list[Score]]: ...

    def score(
        self, context: str | Sequence[str], continuation: str | Sequence[str] | Sequence[Sequence[str]]
    ) -> Score | list[Score] | list[list[Score]]:
        """log p(continuation | context).

        One context with one continuation gives a Score, with a list of them a list; a list of contexts, with a list of
        continuations for each, a list of lists. Shared contexts are computed once. The two texts become tokens as in
        the reference harness (docs/EVALUATION.md). Errors: ArgumentError naming what is too long or empty, Error
        'non_finite'; for lists of contexts these are each Score's own ``error``.
        """
        if isinstance(context, str):
            single = isinstance(continuation, str)
            texts = [cast(str, continuation)] if single else list(cast(Sequence[str], continuation))
            scores = _libmoe.score(self._native, [(context, texts)])[0]
            for score in scores:
                if score.error is not None:
                    raise score.error
            return scores[0] if single else scores
        if not isinstance(context, Sequence):
            raise TypeError(f"score: expected a text or a list of texts, found {type(context).__name__}")
        if isinstance(continuation, str) or len(context) != len(continuation):
            raise ValueError("score: expected as many lists of continuations as contexts")
        if any(isinstance(texts, str) for texts in continuation):
            raise TypeError("score: expected a list of continuations for each context, found a text")
        return _libmoe.score(self._native, [(c, list(t)) for c, t in zip(context, continuation, strict=True)])

    def choose(
        self, context: str, labels: Sequence[str], *, by: Literal["log_likelihood", "per_token"] = "log_likelihood"
    ) -> Choice:
        """Which of the labels follows the context best. ``by="per_token"``: where labels have different lengths.

        Errors: those of score(); ArgumentError without labels.
        """
        if isinstance(labels, str):
            raise TypeError(f"labels: expected a list of texts, found the text {labels!r}")
        choice = _libmoe.choose(self._native, [(context, list(labels))], by)[0]
        if choice.error is not None:
            raise choice.error
        return choice

    @overload
    def score_text(self, text: str) -> Score: ...  # type: ignore[overload-overlap]
    @overload
    def score_text(self, text: Sequence[str]) -> list[Score]: ...

    def score_text(self, text: str | Sequence[str]) -> Score | list[Score]:
        """Every token of a text behind BOS (else EOS), in windows of the model's context.

        Errors: ArgumentError for an empty text; Error 'unsupported' without BOS and EOS.
        """
        if not isinstance(text, str):
            return _libmoe.score_texts(self._native, list(text))
        score = _libmoe.score_texts(self._native, [text])[0]
        if score.error is not None:
            raise score.error
        return score

    def perplexity(self, text: str) -> float:
        """exp of the mean negative log-likelihood of the text's tokens. Errors: those of score_text()."""
        return self.score_text(text).perplexity

    # -- below text --------------------------------------------------------------------------------------------------

    def session(
        self,
        *,
        precision: Literal["auto", "reference"] | None = None,
        kv: Literal["f32", "f16", "bf16"] | None = None,
        cache_tokens: int = 0,
        record_routing: bool = False,
    ) -> Session:
        """Sequences of token ids, and the logits of each step. What is None is the model's.

        Several sessions run at once, each in a thread of its own. Errors: OutOfMemoryError, ArgumentError.
        """
        if precision is None:
            settings = SessionSettings(self._settings.precision, self._settings.kv if kv is None else kv, cache_tokens)
        else:
            settings = SessionSettings(precision, _kv(precision, kv), cache_tokens)
        return Session(self._native, settings, record_routing)

    def flops(
        self,
        new_tokens: int,
        *,
        cached_tokens: int = 0,
        logit_rows: int = 1,
        mla: Literal["absorbed", "expanded"] = "absorbed",
    ) -> Work:
        """What running ``new_tokens`` after ``cached_tokens`` costs, exact, with logits at ``logit_rows`` positions.

        ``mla``: the form of multi-head latent attention; libmoe runs "absorbed", the evaluator reports "expanded".
        Errors: ArgumentError for numbers beyond the context.
        """
        return _libmoe.forward_work(self.info, new_tokens, cached_tokens, logit_rows, mla)

    def forget(self) -> None:
        """Gives back what earlier calls left in the cache."""
        self._native.forget()

    def __repr__(self) -> str:
        info = self.info
        experts = f", experts={info.expert_count}, top_k={info.top_k}" if info.expert_count else ""
        return (
            f"Model({self.path!r}, family={info.family!r}, parameters={info.total_parameters}{experts}, "
            f"formats={info.format_summary!r}, threads={self.threads})"
        )


def _kv(precision: str, kv: str | None) -> str:
    """As the programs of libmoe have it."""
    return kv if kv is not None else "f32" if precision == "reference" else "f16"


def _top_k(given: int | Sequence[int] | None) -> list[int]:
    return [] if given is None else [given] if isinstance(given, int) else list(given)
