"""Model files: what they say, and the same model in another weight format."""

from . import _check, _libmoe
from ._libmoe import ModelInfo, QuantizeReport
from ._types import Path, Progress


def inspect(path: Path) -> ModelInfo:
    """Reads a model's headers only. Errors: NotFoundError, FileFormatError, ArgumentError."""
    return _libmoe.inspect(_check.path("path", path))


def quantize(
    source: Path,
    target: Path,
    type: str | None = None,
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

    ``type``: the format of matrices ("f16", "q8_0", "q4_k", ...), by default q8_0, while MXFP4 weights stay as they are;
    ``head``, ``embedding``: theirs, by default the same.
    ``requantize``: a source that is quantised already may be quantised again; ``replace``: the output may exist.
    ``progress``: called with (bytes written, bytes in total). The bytes never depend on ``threads``.

    Errors: as Model(); ArgumentError (a format that is not written, an output that exists), Error 'unsupported'.
    """
    _check.callback("progress", progress)
    return _libmoe.quantize(
        _check.path("source", source),
        _check.path("target", target),
        _check.or_none(_check.text, "type", type),
        _check.or_none(_check.text, "head", head),
        _check.or_none(_check.text, "embedding", embedding),
        _check.flag("requantize", requantize),
        _check.flag("replace", replace),
        _check.flag("tokenizer", tokenizer),
        _check.integer("threads", threads, most=2**31 - 1),
        progress,
    )
