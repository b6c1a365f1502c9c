"""How to deploy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


SESSION_S = 1_800.0  # how long credentials must last when a deploy or destroy begins


@dataclass(frozen=True, slots=True)
class Mark:
    """A stack at its last operation. updated: when that began; None for a new stack without one.

    is_time_known: whether `updated` could be read; else the stack's id alone is compared.
    code: hashes of the code that the functions ran then; empty where they could not be read.
    """

    stack_id: str
    updated: datetime | None
    is_time_known: bool = True
    code: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator chose.

    rollback: whether a failed operation is rolled back.
    smoke: send an event through afterwards; smoke_always: also where nothing had to be changed.
    watch_alarms_s: how long after an update an alarm rolls it back; 0 disables that.
    adopt: data that an earlier stack left become part of a new one.
    take_over: another project's stack may become this one's, once its name is typed.
    make_logging_role: API Gateway gets a role for its logs where the account has none in the region.
    unless_changed_since: refuse where the stack was deleted, created or updated since then, or its functions' code.
    keep: keep template and assets for a rollback to this release.
    """

    dry_run: bool = False
    hotswap: bool = False
    rollback: bool = True
    outputs_file: Path | None = None
    smoke: bool = False
    smoke_always: bool = False
    watch_alarms_s: int = 0
    adopt: bool = False
    take_over: bool = False
    make_logging_role: bool = False
    unless_changed_since: Mark | None = None
    keep: bool = True
