"""Files such as `.env.local`: NAME=VALUE lines. Errors name the line and never show a value."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from rtp.errors import ConfigError
from rtp.trust import project

if TYPE_CHECKING:
    from pathlib import Path

LOCAL = ".env.local"
_START = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=[ \t]*(?P<rest>.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}


def read(file: Path) -> dict[str, str]:
    r"""Values by name. Raises ConfigError.

    A value in double quotes may have escapes such as \n, one in single quotes is taken as it is; both may have several
    lines. One without quotes ends at the line's end or at ` #`. The last of several lines with one name counts.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        is_absent = isinstance(error, FileNotFoundError)
        hint = "Name a file with NAME=VALUE lines." if is_absent else "Fix the file, or remove it."
        raise ConfigError(f"{file} cannot be read: {why}.", hint=hint) from None
    values: dict[str, str] = {}
    numbered = iter(enumerate(lines, 1))
    for number, line in numbered:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        start = _START.fullmatch(line)
        if start is None:
            raise _refusal(file, number, "is not NAME=VALUE")
        text, mark = start["rest"], start["rest"][:1]
        if mark not in ("'", '"') or not mark:
            values[start["name"]] = re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()
            continue
        while (end := _closing(text, mark)) is None:
            _, more = next(numbered, (0, None))
            if more is None:
                raise _refusal(file, number, f"has a value whose closing {mark} is missing")
            text += f"\n{more}"
        if text[end + 1 :].strip() and not text[end + 1 :].lstrip().startswith("#"):
            raise _refusal(file, number, f"goes on after the closing {mark}")
        inner = text[1:end]
        if mark == '"':
            inner = _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), inner)
        values[start["name"]] = inner
    return values


def of_project(root: Path) -> dict[str, str]:
    """The values of a project's `.env.local`; empty without the file. A link that leads nowhere is an error.

    Raises ConfigError, and RefusedError for a file that another user wrote or can write: in a folder such as /tmp
    everybody can put one beside this user's rtp.toml.
    """
    file = root / LOCAL
    if not os.path.lexists(file):
        return {}
    project.check(root, [file], why="and processors get the secrets that it has")
    return read(file)


def _closing(text: str, mark: str) -> int | None:
    """Index of the closing quote; None where the value goes on in the next line."""
    pattern = r'"(?:[^"\\]|\\.)*"' if mark == '"' else r"'[^']*'"
    match = re.match(pattern, text, re.DOTALL)
    return match.end() - 1 if match else None


def _refusal(file: Path, number: int, what: str) -> ConfigError:
    return ConfigError(
        f"{file}:{number} {what}.", hint='Write NAME=VALUE; a value with spaces around it or lines in "quotes".'
    )
