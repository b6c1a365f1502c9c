"""What is said of data that the engine of a folder no longer has."""

from __future__ import annotations

from datetime import datetime

from rtp.text import times


def of(state: str, saved: str | None) -> str:
    """What is lost with an engine that was found in this state; nothing where it was neither killed nor copied."""
    said = {"killed": killed, "copied": copied}.get(state)
    return said(saved) if said else ""


def killed(saved: str | None) -> str:
    """The engine was killed; saved: when it last saved its data, ISO 8601."""
    if saved:
        return f"the local engine was killed, and what it took in since its last save, of {when(saved)}, is lost"
    return "the local engine was killed before it had saved anything, and the data in it is lost"


def forced(saving: bool, saved: str | None) -> str:
    """The engine did not react when it was to stop, or not while it saved; saved: when it last did, ISO 8601."""
    what = "the local engine did not finish saving" if saving else "the local engine did not react"
    if saved:
        return f"{what} and was killed; what it took in since its last save, of {when(saved)}, is lost"
    return f"{what} and was killed before it had saved anything; the data in it is lost"


def copied(saved: str | None) -> str:
    """The folder was copied while its engine was running; saved: when that one last saved its data, ISO 8601."""
    what = "this folder is a copy of one whose engine was running"
    if saved:
        return f"{what}, and what that one took in since its last save, of {when(saved)}, is not in the copy"
    return f"{what} and had not saved anything, so that none of its data is in the copy"


def restart(saved: str | None) -> str:
    """What a start begins with, and which commands start it."""
    commands = "`rtp local start` or `rtp deploy`"
    return f"{commands} starts with that save" if saved else f"{commands} starts with nothing"


def when(iso: str) -> str:
    """A time of ISO 8601 as an operator reads it."""
    try:
        return times.stamp(times.ms(datetime.fromisoformat(iso)))
    except ValueError:
        return iso
