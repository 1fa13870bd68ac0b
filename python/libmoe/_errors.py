"""Errors of the library as exceptions."""


class Error(Exception):
    """What libmoe refuses, in one line that names the item, what was found and what was expected.

    ``code`` is the library's name of the kind: bad_file, bad_config, bad_shape, bad_argument, unsupported, not_found,
    io, out_of_memory, cancelled, non_finite, internal.
    """

    code: str = "internal"


class ArgumentError(Error, ValueError):
    """A caller's value is outside its range, or values contradict each other."""


class FileFormatError(Error, ValueError):
    """A file breaks its format."""


class NotFoundError(Error, FileNotFoundError):
    """A file, or what should be in it, does not exist."""


class OutOfMemoryError(Error, MemoryError):
    """An allocation failed, or the cache has no room left."""


class IoError(Error, OSError):
    """The operating system refused, or a file ended early."""


_BY_CODE: dict[str, type[Error]] = {
    "bad_file": FileFormatError,
    "bad_config": ArgumentError,
    "bad_shape": ArgumentError,
    "bad_argument": ArgumentError,
    "not_found": NotFoundError,
    "out_of_memory": OutOfMemoryError,
    "io": IoError,
}


def from_library(code: str, message: str) -> Error:
    """The exception object of an error; called by the extension module."""
    error = _BY_CODE.get(code, Error)(message)
    error.code = code
    return error
