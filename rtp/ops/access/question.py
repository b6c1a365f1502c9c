"""A question to the operator, on which an operation depends."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """Consent that is needed before going on.

    about: what is said before it is asked for. typed: the name to type, where a yes is not enough.
    """

    text: str
    about: tuple[str, ...] = ()
    typed: str = ""
