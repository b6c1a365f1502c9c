"""A question to the operator, whose answer decides whether an operation goes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """A request for consent.

    about: lines shown before the question. typed: the name that must be typed, where a yes is not enough.
    answered_by_yes: whether the option --yes answers it; not where its effect goes beyond the environment.
    """

    text: str
    about: tuple[str, ...] = ()
    typed: str = ""
    answered_by_yes: bool = True
