"""Which weather an engine has: a seed, and the effects by name."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_DRAWN = 10_000


@dataclass(frozen=True, slots=True)
class Weather:
    """How an engine differs from one that answers at once.

    seed: the same one gives the same choices to the same calls. effects: names; empty for all that are not optional.
    """

    seed: int
    effects: tuple[str, ...] = ()

    @classmethod
    def of(cls, seed: int | None, effects: Iterable[str] = ()) -> Self:
        """A weather with checked names. seed: None for a new one. Raises UsageError for an unknown effect."""
        from rtp.local.weather import catalogue

        names = tuple(dict.fromkeys(effects))
        catalogue.check(names)
        return cls(secrets.randbelow(_DRAWN) if seed is None else seed, names)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The weather that `asdict` gave as JSON, which has lists for tuples."""
        return cls(int(document["seed"]), tuple(document["effects"]))

    def __str__(self) -> str:
        """For people, such as `seed 7: throttling, resets`."""
        return f"seed {self.seed}: {', '.join(self.effects) or 'all effects'}"
