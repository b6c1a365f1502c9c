"""Read a value that must not be shown: typed without echo, or from standard input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from typing import TextIO


def read(prompt: str, *, stdin: TextIO, stderr: TextIO) -> str:
    """Ask on the terminal; without one return all of stdin, without the newline at its end.

    Raises UsageError for what is not UTF-8 text, RefusedError where nothing is typed.
    """
    if stdin.isatty():
        return _typed(prompt, stderr)
    try:
        text = stdin.read()
        text.encode()
    except UnicodeError:
        raise UsageError(
            "Standard input is not UTF-8 text.", hint="Encode the value, for instance as base64."
        ) from None
    return text.removesuffix("\n").removesuffix("\r")


def _typed(prompt: str, stderr: TextIO) -> str:
    import getpass
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(prompt, stream=stderr)
    except EOFError:
        stderr.write("\n")
        raise RefusedError("No value; nothing was changed.") from None
    except getpass.GetPassWarning:
        raise UsageError(
            "This terminal cannot hide what is typed.", hint="Read the value from standard input instead."
        ) from None
