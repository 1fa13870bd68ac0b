"""Sequences of token ids."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from . import _check, _libmoe
from ._libmoe import SessionSettings, Work
from ._types import Ids

_Logits: TypeAlias = Literal["none", "last", "all"]
_LOGITS = ("none", "last", "all")
_MOST = 2**31 - 1  # numbers of sequences are int32


class Session:
    """Sequences over one model with their key/value cache; Model.session() makes one. One thread at a time."""

    def __init__(self, model: _libmoe.LoadedModel, settings: SessionSettings, record_routing: bool) -> None:
        self._native = _libmoe.ModelSession(model, settings, record_routing)

    def open(self) -> int:
        """A new empty sequence; gives its number."""
        return self._native.open()

    def fork(self, parent: int) -> int:
        """A new sequence that starts with all tokens of ``parent``; the cached prefix is shared, not copied."""
        return self._native.fork(_check.integer("parent", parent, most=_MOST))

    def rewind(self, sequence: int, length: int) -> None:
        """Drops the tail so that ``length`` tokens stay.

        Hybrids continue from the last state that is kept before it: the next step computes what is between again.
        """
        self._native.rewind(_check.integer("sequence", sequence, most=_MOST), _check.integer("length", length))

    def close(self, sequence: int) -> None:
        """Gives a sequence's room in the cache back."""
        self._native.close(_check.integer("sequence", sequence, most=_MOST))

    def length(self, sequence: int) -> int:
        """Tokens that the sequence holds."""
        return self._native.length(_check.integer("sequence", sequence, most=_MOST))

    @property
    def free_tokens(self) -> int:
        """Room left in the cache."""
        return self._native.free_tokens

    def step(
        self, sequence: int, tokens: Ids, logits: _Logits = "last", padded: bool = False
    ) -> npt.NDArray[np.float32]:
        """Appends tokens [T] and computes logits.

        Returns float32 [1, V] for "last", [T, V] for "all", [0, V] for "none": a read-only view of the step's own
        buffer, which lives as long as the array does. V is the number of tokens; with ``padded``, that of the rows of
        the model's head.

        Errors: ArgumentError (sequence, token id), OutOfMemoryError (cache full), Error 'non_finite'. The sequence is
        then as before, also after Ctrl-C.
        """
        return self._native.step(
            _check.integer("sequence", sequence, most=_MOST),
            tokens,
            _check.choice("logits", logits, _LOGITS),
            _check.flag("padded", padded),
        )

    def step_batch(
        self, items: Iterable[tuple[int, Ids]], logits: _Logits = "last", padded: bool = False
    ) -> list[npt.NDArray[np.float32]]:
        """step() of several sequences at a time, as (sequence, tokens); gives an array for each.

        The bits are those of steps one by one.
        """
        return self._native.step_batch(
            _pairs(items), _check.choice("logits", logits, _LOGITS), _check.flag("padded", padded)
        )

    @property
    def routing(self) -> list[list[tuple[list[int], list[float]]]]:
        """(experts, weights) of each token of the last step by layer, with record_routing; dense layers are empty."""
        return self._native.routing

    @property
    def executed(self) -> Work:
        """Work done since the session was made."""
        return self._native.executed

    def __repr__(self) -> str:
        return f"<libmoe.Session of {self._native.path!r}>"


def _pairs(items: object) -> list[tuple[int, Ids]]:
    if isinstance(items, (str, bytes)) or not isinstance(items, Iterable):
        raise _check.wrong_type("items", items, "a list of (sequence, token ids)")
    pairs: list[tuple[int, Ids]] = []
    for i, item in enumerate(items):
        if isinstance(item, (str, bytes)) or not isinstance(item, Sequence) or len(item) != 2:
            raise _check.wrong_type(f"items[{i}]", item, "a pair (sequence, token ids)")
        sequence, tokens = cast(tuple[Any, Any], item)
        pairs.append((_check.integer(f"items[{i}]: sequence", sequence, most=_MOST), tokens))
    return pairs
