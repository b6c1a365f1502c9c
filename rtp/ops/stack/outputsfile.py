"""The file that a deploy writes the stack's outputs to, as the CDK does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rtp.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def check(file: Path) -> None:
    """Find out whether it can be written, before anything is changed. Raises UsageError."""
    scratch = _scratch(file)
    try:
        if file.is_dir():
            raise IsADirectoryError(21, "Is a directory")
        scratch.touch()
        scratch.unlink()
    except OSError as error:
        raise _unwritable(file, error, "Nothing was changed; name another file.") from None


def write(file: Path, stack: str, outputs: dict[str, str]) -> None:
    """`{stack: {key: value}}`, in one step. Raises UsageError."""
    scratch = _scratch(file)
    try:
        scratch.write_text(json.dumps({stack: outputs}, indent=2) + "\n", encoding="utf-8")
        scratch.replace(file)
    except OSError as error:
        raise _unwritable(file, error, "The deploy itself is done.") from None


def _scratch(file: Path) -> Path:
    return file.with_name(f".{file.name}.new")


def _unwritable(file: Path, error: OSError, hint: str) -> UsageError:
    return UsageError(f"The outputs cannot be written to {file}: {error.strerror}.", hint=hint)
