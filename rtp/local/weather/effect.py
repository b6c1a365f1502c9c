"""The base of every effect of the weather."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.weather.call import Call, Response


class Effect:
    """One way in which AWS differs from an engine that answers at once; see the package's docstring.

    name: in `--weather-effects`. summary: one sentence for people. source: the addresses of AWS's documentation.
    is_optional: part of the weather only if named. is_logged: False where every answer is changed.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    is_optional: ClassVar[bool] = False
    is_logged: ClassVar[bool] = True

    def __init__(self, seed: int, now: Callable[[], float] = time.time) -> None:
        self.random = random.Random(f"{seed}:{self.name}")  # noqa: S311 - repeatable, not secret
        self.now = now

    def happens(self, chance: float) -> bool:
        """Draw whether something of this chance happens now."""
        return self.random.random() < chance

    async def before(self, call: Call) -> Response | None:  # noqa: ARG002
        """An answer in place of the engine's, or None to let the call through."""
        return None

    async def after(self, call: Call, response: Response) -> Response:  # noqa: ARG002
        """The answer that the client gets."""
        return response

    def install(self) -> None:
        """Change the engine itself, once it is loaded: for what never crosses the edge, such as an event source."""
