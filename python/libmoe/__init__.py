"""libmoe: mixture-of-experts language models on CPUs, and accuracy per FLOP.

    import libmoe
    model = libmoe.Model("model.gguf")
    print(model.generate("Numbers and", max_tokens=16))

docs/PYTHON.md has a tour. Results never depend on threads, batches or what the cache holds.
"""

import atexit
import os
import threading

from . import _libmoe
from ._errors import ArgumentError, Error, FileFormatError, IoError, NotFoundError, OutOfMemoryError
from ._evaluation import Report, builtin_task_names, evaluate
from ._libmoe import (
    Choice,
    Generation,
    ModelInfo,
    Piece,
    QuantizedFormat,
    QuantizeReport,
    ResultRow,
    RouterConfig,
    Score,
    Stream,
    Work,
    active_isa,
    numerics_version,
)
from ._model import Model
from ._quantization import inspect, quantize
from ._routing import route
from ._session import Session
from ._tokenizer import Tokenizer
from ._types import ChatOptions, GenerateOptions, Message, Progress, Prompt

__all__ = [
    "ArgumentError",
    "ChatOptions",
    "Choice",
    "Error",
    "FileFormatError",
    "GenerateOptions",
    "Generation",
    "IoError",
    "Message",
    "Model",
    "ModelInfo",
    "NotFoundError",
    "OutOfMemoryError",
    "Piece",
    "Progress",
    "Prompt",
    "QuantizeReport",
    "QuantizedFormat",
    "Report",
    "ResultRow",
    "RouterConfig",
    "Score",
    "Session",
    "Stream",
    "Tokenizer",
    "Work",
    "__version__",
    "active_isa",
    "builtin_task_names",
    "evaluate",
    "inspect",
    "numerics_version",
    "quantize",
    "route",
]

__version__ = _libmoe.version

os.register_at_fork(after_in_child=_libmoe.after_fork_in_child)
# Runs after the non-daemon threads have ended, before the interpreter is finalised.
atexit.register(lambda: _libmoe.end_process(any(t.daemon for t in threading.enumerate())))
