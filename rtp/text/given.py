"""Values of a JSON object that rtp did not write in this run: of their types and within their ranges, or refused.

What is read from a bucket, a table or a file may be damaged, or written by somebody else.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

LATEST_MS = 10**13
"""The year 2286: no time that rtp writes is later, epoch ms."""


class MalformedError(ValueError):
    """A value is missing, has another type, or is out of range. The text says which."""


class Given:
    """The members of a JSON object. Raises MalformedError for anything else than an object.

    where: what the texts of errors begin with, such as `line 3`.
    """

    def __init__(self, values: object, where: str = "") -> None:
        self._where = f"{where}: " if where else ""
        if not isinstance(values, dict):
            raise self.malformed("it is not a JSON object")
        self.values: dict[str, Any] = values

    def malformed(self, why: str) -> MalformedError:
        """The error that says why a member is not what rtp writes."""
        return MalformedError(f"{self._where}{why}")

    def text(self, name: str, otherwise: str | None = None, *, most: int | None = None) -> str:
        """A text, cut to `most` characters; `otherwise` where it is missing or null. Raises MalformedError."""
        value = self._member(name, otherwise)
        if not isinstance(value, str):
            raise self.malformed(f"{name} is not a text")
        return value[:most]

    def integer(self, name: str, otherwise: int | None = None, *, least: int = 0, most: int = LATEST_MS) -> int:
        """An integer; `otherwise` where it is missing or null. Raises MalformedError."""
        value = self._member(name, otherwise)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.malformed(f"{name} is not an integer")
        if not least <= value <= most:
            raise self.malformed(f"{name} is not between {least} and {most}")
        return value

    def number(self, name: str, otherwise: float | None = None, *, least: float = 0, most: float = LATEST_MS) -> float:
        """A number; `otherwise` where it is missing or null. Raises MalformedError."""
        value = self._member(name, otherwise)
        if not isinstance(value, int | float | Decimal) or isinstance(value, bool):
            raise self.malformed(f"{name} is not a number")
        if not (is_finite(value) and least <= value <= most):
            raise self.malformed(f"{name} is not between {least:g} and {most:g}")
        return float(value)

    def member(self, name: str, otherwise: dict[str, Any] | None = None) -> Given:
        """An object; `otherwise` where it is missing or null. Raises MalformedError."""
        value = self._member(name, otherwise)
        if not isinstance(value, dict):
            raise self.malformed(f"{name} is not an object")
        return Given(value, self._where.removesuffix(": "))

    def elements(self, name: str) -> list[Any]:
        """An array. Raises MalformedError."""
        value = self._member(name, None)
        if not isinstance(value, list):
            raise self.malformed(f"{name} is not an array")
        return value

    def texts(self, name: str) -> list[str]:
        """An array of texts. Raises MalformedError."""
        values = self.elements(name)
        if not all(isinstance(value, str) for value in values):
            raise self.malformed(f"{name} is not an array of texts")
        return values

    def _member(self, name: str, otherwise: Any) -> Any:
        value = self.values.get(name)
        if value is None:
            value = otherwise
        if value is None:
            raise self.malformed(f"{name} is missing")
        return value


def is_finite(value: float | Decimal) -> bool:
    """Whether a number is neither infinite nor NaN; an integer of any size is."""
    return value.is_finite() if isinstance(value, Decimal) else isinstance(value, int) or math.isfinite(value)
