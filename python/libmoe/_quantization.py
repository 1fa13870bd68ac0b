"""Model files: what they say, and the same model in another weight format."""

import os

from . import _libmoe
from ._libmoe import ModelInfo, QuantizeReport
from ._types import Path, Progress


def inspect(path: Path) -> ModelInfo:
    """Reads a model's headers only. Errors: NotFoundError, FileFormatError, ArgumentError."""
    return _libmoe.inspect(os.fspath(path))


def quantize(
    source: Path,
    target: Path,
    type: str = "q8_0",
    *,
    head: str | None = None,
    embedding: str | None = None,
    requantize: bool = False,
    replace: bool = False,
    tokenizer: bool = True,
    threads: int = 0,
    progress: Progress | None = None,
) -> QuantizeReport:
    """Reads a .gguf file or a Hugging Face directory and writes a .gguf file, whole or not at all.

    ``type``: the format of matrices ("f16", "q8_0", "q4_k", ...); ``head``, ``embedding``: theirs, by default the same.
    ``requantize``: a source that is quantised already may be quantised again; ``replace``: the output may exist.
    ``progress``: called with (bytes written, bytes in total). The bytes never depend on ``threads``.

    Errors: as Model(); ArgumentError (a format that is not written, an output that exists), Error 'unsupported'.
    """
    return _libmoe.quantize(
        os.fspath(source), os.fspath(target), type, head, embedding, requantize, replace, tokenizer, threads, progress
    )
