"""The router alone."""

from typing import Any

import numpy as np
import numpy.typing as npt

from . import _check, _libmoe
from ._libmoe import RouterConfig


def _float32(values: npt.ArrayLike, what: str) -> npt.NDArray[np.float32]:
    if isinstance(values, np.ndarray) and not np.can_cast(values.dtype, np.float32, "safe"):
        raise TypeError(f"{what}: expected float32, found {values.dtype}")
    try:
        return np.ascontiguousarray(values, dtype=np.float32)
    except (TypeError, ValueError):
        raise _check.wrong_type(what, values, "an array of float32") from None


def route(
    logits: npt.ArrayLike, config: RouterConfig, bias: npt.ArrayLike | None = None
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Chooses experts and mixing weights of each token.

    logits   [T, E] float32; -inf is a legal "never"
    bias     [E] float32 with config.selection_bias, else None; shifts the choice, never the weights

    Returns ids [T, K] int32, best first, equal scores in rising id; and weights [T, K] float32. Where expert_mass
    leaves a token fewer than K experts, the rest is -1 with weight 0. Same bits on every machine and for any T.
    Errors: ArgumentError naming shape or field; Error 'non_finite' naming the token.
    """
    if not isinstance(config, RouterConfig):
        raise _check.wrong_type("config", config, "a RouterConfig")
    rows: npt.NDArray[Any] = _float32(logits, "logits")
    if rows.ndim != 2:
        raise ValueError(f"logits: expected [T, E], found {rows.ndim} dimensions")
    shift = None if bias is None else _float32(bias, "bias")
    if shift is not None and shift.ndim != 1:
        raise ValueError(f"bias: expected [E], found {shift.ndim} dimensions")
    return _libmoe.route(rows, config, shift)
