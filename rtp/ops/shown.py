"""The ids that this project's commands have shown, in `.rtp`: for completion, and for ids of which a part is given.

A cache without promises: what cannot be read or written is as good as empty.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rtp.errors import RtpError
from rtp.text.given import LATEST_MS
from rtp.trust import private, project

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rtp.config import Environment

_FOLDER = "shown"
_MOST = 2000  # the newest
_BYTES = 4_000_000  # a larger file is none of rtp's
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*", re.ASCII)
LEAST = 4
"""The least number of characters that stand for an id."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An id that was shown. kind: event, trace, run or release; at: its time, epoch ms; status: as it was then."""

    id: str
    kind: str = "event"
    at: int = 0
    status: str = ""
    type: str = ""


def remember(environment: Environment, entries: Iterable[Shown]) -> None:
    """Add what a command shows, the newest first. Nothing is written outside of a project."""
    new = list(entries)[:_MOST]
    if not new or environment.file is None:
        return
    known = {entry.id: entry for entry in [*new, *recall(environment)][::-1]}  # of one id, what was shown last
    path = _path(environment)
    with suppress(OSError, RtpError):
        project.below(path.parent)
        private.write(path, json.dumps([asdict(entry) for entry in [*known.values()][::-1][:_MOST]]))


def recall(environment: Environment) -> list[Shown]:
    """What was shown of an environment, the last first."""
    try:
        stored = json.loads(private.read(_path(environment), _BYTES))
    except (OSError, ValueError, RecursionError):
        return []
    return [entry for value in stored if (entry := _read(value))] if isinstance(stored, list) else []


def matches(event_id: str, part: str) -> bool:
    """Whether a part is the whole id, its beginning or its end."""
    return event_id.startswith(part) or event_id.endswith(part)


def is_part(text: str, length: int) -> bool:
    """Whether a text is too short for an id of this length, and long enough to stand for one."""
    return LEAST <= len(text) < length and _PLAIN.fullmatch(text) is not None


def stripped(text: str) -> str:
    """A text as it is pasted from a list, without the `…` of an id that was cut.

    An id that a client made, with spaces, quotes and the like, stays as it is: it stands for itself alone.
    """
    part = text.strip().strip("…").removeprefix("...")
    return part if _PLAIN.fullmatch(part) else text


def _path(environment: Environment) -> Path:
    return environment.state / _FOLDER / f"{environment.project}-{environment.name}.json"


def _read(value: Any) -> Shown | None:
    with suppress(TypeError):
        entry = Shown(**value)
        if (
            isinstance(entry.at, int)
            and 0 <= entry.at <= LATEST_MS
            and all(isinstance(t, str) for t in (entry.id, entry.kind, entry.status, entry.type))
        ):
            return entry
    return None
