"""The first line of a list: what it lists, of which environment, how many, and which filters were used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.text import times
from rtp.text.elements import line, strong

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rtp.text.elements import Line

_NAMED = 3  # unreadable objects in a warning


def heading(what: str, env: str, *parts: str | Iterable[str]) -> Line:
    """Make the first line of a list, such as `records prod: 50, more exist, dead, since 03:00 UTC`.

    parts: texts, and lists of texts; empty ones are left out.
    """
    texts = [text for part in parts for text in ([part] if isinstance(part, str) else part) if text]
    return line(strong(f"{what} {env}"), ": ", ", ".join(texts))


def count(shown: int, *, more: bool = False, total: int | None = None) -> list[str]:
    """The number of rows, and whether there are others: how many, where that is known."""
    if total is not None and total > shown:
        return [f"{shown:,} of {total:,}"]
    return [f"{shown:,}", "more exist"] if more else [f"{shown:,}"]


def window(since: int, until: int | None = None, *, now: int | None = None) -> str:
    """The times of a list, in epoch ms, with their time zone: `since 03:00 UTC`, or `01-31 03:00 to 04:00 UTC`.

    A window that ended within the last minute ends now.
    """
    now = times.now_ms() if now is None else now
    if until is None or until >= now - 60_000:
        return f"since {times.minute(since, now=now)} {times.zone(since)}"
    return f"{times.minute(since, now=now)} to {times.minute(until, now=now)} {times.zone(until)}"


def unreadable(keys: Sequence[str], one: str, several: str) -> str:
    """A warning that names objects of rtp's own bucket that rtp did not write. one, several: what they are not."""
    named = ", ".join(keys[:_NAMED]) + (", …" if len(keys) > _NAMED else "")
    what = f"object is {one}" if len(keys) == 1 else f"objects are {several}"
    return f"{len(keys):,} {what} of rtp, damaged or written by somebody else: {named}."
