"""Arguments on their way to the extension module: a wrong one is refused by its name, with what was found.

A wrong type is a TypeError, a value that cannot be an ArgumentError, which is a ValueError as well.
"""

import numbers
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from ._errors import ArgumentError
from ._types import Path

_T = TypeVar("_T")
_INT64 = 2**63


def shown(value: object) -> str:
    """The value in a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def wrong_type(name: str, value: object, expected: str) -> TypeError:
    return TypeError(f"{name} is {shown(value)}, expected {expected}")


def refusal(message: str) -> ArgumentError:
    error = ArgumentError(message)
    error.code = "bad_argument"
    return error


def wrong_value(name: str, value: object, expected: str) -> ArgumentError:
    return refusal(f"{name} is {shown(value)}, expected {expected}")


def integer(name: str, value: object, least: int = 0, most: int = _INT64 - 1) -> int:
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise wrong_type(name, value, "an integer")
    found = operator.index(cast(Any, value))
    if not least <= found <= most:
        no_need = found < least and most >= 2**31 - 1  # to speak of the upper bound
        bound = f"an integer of at least {least}" if no_need else f"an integer from {least} to {most}"
        raise wrong_value(name, found, bound)
    return found


def number(name: str, value: object) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise wrong_type(name, value, "a number")
    try:
        return float(value)
    except OverflowError:
        raise wrong_value(name, value, "a number that a double holds") from None


def flag(name: str, value: object) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise wrong_type(name, value, "True or False")
    return bool(value)


def text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise wrong_type(name, value, "a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        reason = f"{name} has half of a surrogate pair there"
        raise UnicodeEncodeError("utf-8", value, error.start, error.end, reason) from None
    return value


def texts(name: str, value: object) -> list[str]:
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__"):
        raise wrong_type(name, value, "a list of texts")
    return [text(f"{name}[{i}]", item) for i, item in enumerate(cast(Any, value))]


def choice(name: str, value: object, known: Sequence[str]) -> str:
    if not isinstance(value, str):
        raise wrong_type(name, value, "one of " + ", ".join(map(repr, known)))
    if value not in known:
        raise wrong_value(name, value, "one of " + ", ".join(map(repr, known)))
    return value


def path(name: str, value: Path) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise wrong_type(name, value, "a path: a str or an os.PathLike")
    found = os.fspath(value)
    if not isinstance(found, str):
        raise wrong_type(name, value, "a path of type str")
    if not found or "\0" in found:
        raise wrong_value(name, found, "a path that is not empty and has no zero byte inside")
    return text(name, found)


def callback(name: str, value: object) -> None:
    if value is not None and not callable(value):
        raise wrong_type(name, value, "a function or None")


def mapping(name: str, value: object) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise wrong_type(name, value, "a dict")
    return value


def or_none(check: Callable[[str, object], _T], name: str, value: object) -> _T | None:
    return None if value is None else check(name, value)
