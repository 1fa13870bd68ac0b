"""A model in memory: replies, scores, sessions."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, Unpack, cast, overload

import numpy as np

from . import _chat, _check, _libmoe
from ._libmoe import Choice, Generation, ModelInfo, Score, SessionSettings, Stream, Work
from ._session import Session
from ._tokenizer import Tokenizer
from ._types import ChatOptions, GenerateOptions, Ids, Message, Path, Progress, Prompt

_MOST_THREADS = 2**31 - 1  # the library checks the limit
_TEMPLATE_KEYS = ("tools", "documents", "chat_template", "template_variables", "date")


def _is_single(prompt: object) -> bool:
    """Whether it is one prompt: a text or ids, and no list of those."""
    if isinstance(prompt, (str, np.ndarray)):
        return True
    if isinstance(prompt, bytes) or not isinstance(prompt, Sequence):
        raise _check.wrong_type("prompt", prompt, "a text, token ids or a list of those")
    return len(prompt) > 0 and isinstance(prompt[0], (int, np.integer))


class Model:
    """A model file in memory. Any number of threads may use one object at once; answers never depend on that.

    ``path``: a .gguf file, a directory that holds one, or a Hugging Face directory.
    ``threads``: that compute; 0: MOE_THREADS or, where it is unset, the processors this process may use.
    ``precision``: "auto" (int8 activations against integer formats) or "reference".
    ``kv``: what the cache holds: "f32", "f16", "bf16" or "q8_0" (half of f16's memory); by default f16, and f32
    with "reference".
    ``cache_tokens``: room of the cache of generate(), chat() and score(); 0: the model's context. It grows as needed.
    ``state_bytes``: memory for the states of recurrent layers (hybrids); 0: 1 GiB. Beyond it the least recently used
    are dropped, and computed again when they are needed. ``checkpoint_tokens``: a state is kept at every multiple, from
    which texts with the same beginning continue. Neither changes answers.
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
        kv: Literal["f32", "f16", "bf16", "q8_0"] | None = None,
        cache_tokens: int = 0,
        state_bytes: int = 0,
        checkpoint_tokens: int = 256,
        top_k: int | Sequence[int] | None = None,
        expert_mass: float | None = None,
        content_hash: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self._settings = _settings(precision, _kv(precision, kv), cache_tokens, state_bytes, checkpoint_tokens)
        _check.callback("progress", progress)
        self._native = _libmoe.LoadedModel.load(
            _check.path("path", path),
            _check.integer("threads", threads, most=_MOST_THREADS),
            self._settings,
            _top_k(top_k),
            _check.or_none(_check.number, "expert_mass", expert_mass),
            _check.flag("content_hash", content_hash),
            progress,
        )

    def with_experts(self, top_k: int | Sequence[int] | None = None, expert_mass: float | None = None) -> "Model":
        """The same weights, routed to other numbers of experts per token. Errors: ArgumentError."""
        other = Model.__new__(Model)
        other._settings = self._settings
        other._native = self._native.with_experts(
            _top_k(top_k), _check.or_none(_check.number, "expert_mass", expert_mass)
        )
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
        self, prompt: str, *, n: None = None, stream: Literal[False] = False, **options: Unpack[GenerateOptions]
    ) -> Generation: ...
    @overload
    def generate(
        self, prompt: Ids, *, n: None = None, stream: Literal[False] = False, **options: Unpack[GenerateOptions]
    ) -> Generation: ...
    @overload
    def generate(
        self,
        prompt: Sequence[Prompt],
        *,
        n: None = None,
        stream: Literal[False] = False,
        **options: Unpack[GenerateOptions],
    ) -> list[Generation]: ...
    @overload
    def generate(  # type: ignore[overload-overlap]
        self, prompt: str, *, n: int, stream: Literal[False] = False, **options: Unpack[GenerateOptions]
    ) -> list[Generation]: ...
    @overload
    def generate(
        self, prompt: Ids, *, n: int, stream: Literal[False] = False, **options: Unpack[GenerateOptions]
    ) -> list[Generation]: ...
    @overload
    def generate(
        self, prompt: Sequence[Prompt], *, n: int, stream: Literal[False] = False, **options: Unpack[GenerateOptions]
    ) -> list[list[Generation]]: ...
    @overload
    def generate(
        self, prompt: Prompt, *, n: None = None, stream: Literal[True], **options: Unpack[GenerateOptions]
    ) -> Stream: ...

    def generate(
        self,
        prompt: Prompt | Sequence[Prompt],
        *,
        n: int | None = None,
        stream: bool = False,
        **options: Unpack[GenerateOptions],
    ) -> Generation | list[Generation] | list[list[Generation]] | Stream:
        """Replies to a text, to token ids, or to a list of those; ``options`` are those of GenerateOptions.

        One prompt gives a Generation; with ``stream=True`` an iterator of Piece, whose ``result`` is the Generation in
        the end. A list gives a list: what prompts share is computed once, and what one of them cannot have is its own
        ``error``. With ``n`` there is a list of so many replies in place of each: the prompt is computed once, the
        first reply is the one without ``n``, the others draw with seeds made from ``seed`` (greedy ones are all the
        same). A reply depends on the model, its settings, prompt and options, and on nothing else.

        What was computed stays in the cache: a prompt that begins like an earlier one costs only its new tokens.
        Errors: ArgumentError (an empty prompt, a prompt beyond the context, an option), Error 'non_finite',
        OutOfMemoryError.
        """
        single = _is_single(prompt)
        if _check.flag("stream", stream):
            if not single:
                raise _check.wrong_type("prompt", prompt, "one prompt with stream=True")
            if n is not None:
                raise TypeError("n and stream=True: expected at most one of them")
            return Stream(self._native, prompt, dict(options))
        if n is not None:
            prompts = [cast(Prompt, prompt)] if single else list(cast(Sequence[Prompt], prompt))
            several = self._several(prompts, n, dict(options))
            return _checked(several[0]) if single else several
        if single:
            return _libmoe.generate(self._native, prompt, dict(options))
        return [replies[0] for replies in self._several(list(cast(Sequence[Prompt], prompt)), 1, dict(options))]

    def _several(self, prompts: list[Any], n: int, options: dict[str, Any]) -> list[list[Generation]]:
        return _libmoe.generate_many(self._native, prompts, options, _check.integer("n", n, least=1))

    @overload
    def chat(
        self,
        messages: Sequence[Message],
        *,
        n: None = None,
        stream: Literal[False] = False,
        **options: Unpack[ChatOptions],
    ) -> Generation: ...
    @overload
    def chat(
        self, messages: Sequence[Message], *, n: int, stream: Literal[False] = False, **options: Unpack[ChatOptions]
    ) -> list[Generation]: ...
    @overload
    def chat(
        self, messages: Sequence[Message], *, n: None = None, stream: Literal[True], **options: Unpack[ChatOptions]
    ) -> Stream: ...

    def chat(
        self,
        messages: Sequence[Message],
        *,
        n: int | None = None,
        stream: bool = False,
        **options: Unpack[ChatOptions],
    ) -> Generation | list[Generation] | Stream:
        """The next message of a conversation, as the model's chat template writes it.

        The reply is as long as the context allows unless ``max_tokens`` limits it. With ``n`` a list of so many
        replies, as of generate(). Options: those of ChatOptions.
        Errors: those of generate() and of Tokenizer.apply_chat_template().
        """
        given: dict[str, Any] = dict(options)
        template = {key: given.pop(key) for key in _TEMPLATE_KEYS if key in given}
        unfinished = _check.flag("continue_final_message", given.pop("continue_final_message", False))
        request = _chat.request(messages, end="unfinished" if unfinished else "reply", **template)
        if given.get("max_tokens") is None:
            given["max_tokens"] = 0
        if _check.flag("stream", stream):
            if n is not None:
                raise TypeError("n and stream=True: expected at most one of them")
            return Stream(self._native, request, given)
        if n is not None:
            return _checked(self._several([request], n, given)[0])
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
            texts = [_check.text("continuation", continuation)] if single else _check.texts(
                "continuation", continuation
            )
            scores = _libmoe.score(self._native, [(_check.text("context", context), texts)])[0]
            for score in scores:
                if score.error is not None:
                    raise score.error
            return scores[0] if single else scores
        contexts = _check.texts("context", context)
        if isinstance(continuation, str) or not isinstance(continuation, Sequence):
            raise _check.wrong_type("continuation", continuation, "a list of continuations for each context")
        if len(contexts) != len(continuation):
            raise _check.refusal(
                f"continuation has {len(continuation)} lists, expected {len(contexts)}: one for each context"
            )
        lists = [_check.texts(f"continuation[{i}]", texts) for i, texts in enumerate(continuation)]
        return _libmoe.score(self._native, list(zip(contexts, lists, strict=True)))

    def choose(
        self, context: str, labels: Sequence[str], *, by: Literal["log_likelihood", "per_token"] = "log_likelihood"
    ) -> Choice:
        """Which of the labels follows the context best. ``by="per_token"``: where labels have different lengths.

        Errors: those of score(); ArgumentError without labels.
        """
        asked = [(_check.text("context", context), _check.texts("labels", labels))]
        choice = _libmoe.choose(self._native, asked, _check.choice("by", by, ("log_likelihood", "per_token")))[0]
        if choice.error is not None:
            raise choice.error
        return choice

    @overload
    def score_text(self, text: str) -> Score: ...  # type: ignore[overload-overlap]
    @overload
    def score_text(self, text: Sequence[str]) -> list[Score]: ...

    def score_text(self, text: str | Sequence[str]) -> Score | list[Score]:
        """Every token of a text after BOS (else EOS), in windows of the model's context.

        Errors: ArgumentError for an empty text; Error 'unsupported' without BOS and EOS.
        """
        if not isinstance(text, str):
            return _libmoe.score_texts(self._native, _check.texts("text", text))
        score = _libmoe.score_texts(self._native, [_check.text("text", text)])[0]
        if score.error is not None:
            raise score.error
        return score

    def perplexity(self, text: str) -> float:
        """exp of the mean negative log-likelihood of the text's tokens. Errors: those of score_text()."""
        return self.score_text(_check.text("text", text)).perplexity

    # -- below text --------------------------------------------------------------------------------------------------

    def session(
        self,
        *,
        precision: Literal["auto", "reference"] | None = None,
        kv: Literal["f32", "f16", "bf16", "q8_0"] | None = None,
        cache_tokens: int = 0,
        state_bytes: int = 0,
        checkpoint_tokens: int = 256,
        record_routing: bool = False,
    ) -> Session:
        """Sequences of token ids, and the logits of each step. What is None is the model's.

        ``state_bytes`` and ``checkpoint_tokens`` are those of Model: how much of a hybrid is kept for rewinds.

        Several sessions run at once, each in a thread of its own. Errors: OutOfMemoryError, ArgumentError.
        """
        if precision is None:
            chosen = (self._settings.precision, self._settings.kv if kv is None else kv)
        else:
            chosen = (precision, _kv(precision, kv))
        return Session(
            self._native,
            _settings(*chosen, cache_tokens, state_bytes, checkpoint_tokens),
            _check.flag("record_routing", record_routing),
        )

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
        return _libmoe.forward_work(
            self.info,
            _check.integer("new_tokens", new_tokens),
            _check.integer("cached_tokens", cached_tokens),
            _check.integer("logit_rows", logit_rows),
            _check.choice("mla", mla, ("absorbed", "expanded")),
        )

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


def _settings(
    precision: str, kv: str, cache_tokens: int, state_bytes: int, checkpoint_tokens: int
) -> SessionSettings:
    return SessionSettings(
        _check.choice("precision", precision, ("auto", "reference")),
        _check.choice("kv", kv, ("f32", "f16", "bf16", "q8_0")),
        _check.integer("cache_tokens", cache_tokens),
        _check.integer("state_bytes", state_bytes),
        _check.integer("checkpoint_tokens", checkpoint_tokens),
    )


def _kv(precision: str, kv: str | None) -> str:
    """As the programs of libmoe have it."""
    return kv if kv is not None else "f32" if precision == "reference" else "f16"


def _top_k(given: int | Sequence[int] | None) -> list[int]:
    if given is None:
        return []
    if isinstance(given, (str, bytes)) or not isinstance(given, (Sequence, np.ndarray)):
        return [_check.integer("top_k", given)]
    return [_check.integer(f"top_k[{i}]", k) for i, k in enumerate(given)]


def _checked(replies: list[Generation]) -> list[Generation]:
    """Replies to one prompt: what one of them cannot have is raised."""
    for reply in replies:
        if reply.error is not None:
            raise reply.error
    return replies
