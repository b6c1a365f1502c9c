"""The environment's own secrets when its stack is destroyed: what the plan says of them, deletion, and proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import secrets as store
from rtp.errors import AwsError
from rtp.ops import secrets
from rtp.ops.stack.teardown.inventory import Item
from rtp.ops.stack.teardown.proof import Left
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.aws import Aws
    from rtp.aws.secrets import Stored
    from rtp.config import Environment

KIND = "secret"


@dataclass(frozen=True, slots=True)
class OwnSecrets:
    """The secrets of one environment, by name. kept: why they stay; empty where they are deleted.

    unchecked: why they could not be listed; empty where they were.
    """

    names: tuple[str, ...]
    notes: tuple[str, ...]
    kept: str = ""
    unchecked: str = ""

    @property
    def goes(self) -> tuple[Item, ...]:
        """What the plan says is deleted."""
        return () if self.kept else self._items(self.notes)

    @property
    def stays(self) -> tuple[Item, ...]:
        """What the plan says stays."""
        return self._items([self.kept] * len(self.names)) if self.kept else ()

    def _items(self, notes: Sequence[str]) -> tuple[Item, ...]:
        return tuple(Item(KIND, name, note) for name, note in zip(self.names, notes, strict=True))


def of(aws: Aws, environment: Environment, *, keep_data: bool) -> OwnSecrets:
    """List them. Without the permission to, there are none; said only where rtp.toml declares some. Raises AwsError."""
    try:
        stored = secrets.own(aws, environment)
    except AwsError as error:
        if error.code != "access-denied":
            raise
        unchecked = f"Its secrets could not be listed and stay: {error.message}" if environment.settings.secrets else ""
        return OwnSecrets((), (), unchecked=unchecked)
    kept = f"kept: {environment.name} is protected" if environment.protected else "kept, as asked" if keep_data else ""
    return OwnSecrets(tuple(stored), tuple(_note(one) for one in stored.values()), kept)


def delete(aws: Aws, own: OwnSecrets) -> tuple[int, tuple[Left, ...]]:
    """Delete what is not kept. Returns how many are gone, and what is left, asked of SSM again. Raises AwsError."""
    if own.kept or not own.names:
        return 0, tuple(Left(KIND, name, True, "kept") for name in own.names)
    refused: dict[str, str] = {}
    for name in own.names:
        try:
            store.delete_parameter(aws, name)
        except AwsError as error:
            refused[name] = error.message
    left = store.parameters(aws, own.names)
    return len(own.names) - len(left), tuple(
        Left(KIND, name, False, refused.get(name, "should be gone")) for name in left
    )


def _note(stored: Stored) -> str:
    return "" if stored.changed is None else f"set {times.ago(times.ms(stored.changed))} ago"
