"""Sentences about data that the engine of a folder has lost."""

from __future__ import annotations

from datetime import datetime

from rtp.text import times


def of(state: str, saved: str | None) -> str:
    """What an engine in this state has lost; empty unless it was killed or copied."""
    sentence = {"killed": killed, "copied": copied}.get(state)
    return sentence(saved) if sentence else ""


def killed(saved: str | None) -> str:
    """The engine was killed. saved: time of its last save, ISO 8601."""
    return _lost("The local engine was killed", saved)


def unsaved(saved: str | None) -> str:
    """The engine could not save its data at a stop. saved: time of its last save, ISO 8601."""
    return _lost("The local engine could not save its data", saved)


def forced(saving: bool, saved: str | None) -> str:
    """The engine was killed at a stop. saving: while it saved. saved: time of its last save, ISO 8601."""
    return _lost(f"The local engine {'did not finish saving' if saving else 'did not react'} and was killed", saved)


def _lost(cause: str, saved: str | None) -> str:
    if saved:
        return f"{cause}: the data since its last save, of {when(saved)}, is lost."
    return f"{cause}: its data is lost, because there is no earlier save."


def copied(saved: str | None) -> str:
    """The folder was copied while its engine was running. saved: time of that engine's last save, ISO 8601."""
    cause = "This folder is a copy of one whose engine was running"
    if saved:
        return f"{cause}: the data since that engine's last save, of {when(saved)}, is not in the copy."
    return f"{cause} and had not saved yet: none of its data is in the copy."


def restart(saved: str | None) -> str:
    """What a start begins with, and the commands for it."""
    commands = "`rtp local start` or `rtp deploy`"
    return f"{commands} starts with that save." if saved else f"{commands} starts without data."


def when(iso: str) -> str:
    """A time of ISO 8601 in the operator's form."""
    try:
        return times.stamp(times.ms(datetime.fromisoformat(iso)))
    except ValueError:
        return iso
