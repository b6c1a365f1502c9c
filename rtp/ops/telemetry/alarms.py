"""The pipeline's alarms and the history of their states."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from rtp import contract
from rtp.aws import alarms as service
from rtp.ops.work import pool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.aws import Aws
    from rtp.aws.alarms import Alarm, StateChange
    from rtp.contract import Names

_ORDER = {"ALARM": 0, "INSUFFICIENT_DATA": 1, "OK": 2}


@dataclass(frozen=True, slots=True)
class Alarms:
    """The stack's alarms.

    alarms: firing ones first. history: changes of their states, newest first.
    more: whether there are more changes than the limit.
    """

    alarms: list[Alarm]
    history: list[StateChange]
    more: bool = False


def current(aws: Aws, names: Names, only: Sequence[contract.Alarm] = ()) -> list[Alarm]:
    """The pipeline's alarms, firing ones first. only: these of them; empty: all."""
    # By name: a prefix would also match the alarms of an environment whose name begins with this one's.
    alarms = service.alarms(aws, [names.alarm(alarm) for alarm in only or contract.Alarm])
    return sorted(alarms, key=lambda a: (_ORDER.get(a.state, 1), a.name))


def read(aws: Aws, names: Names, *, since: int, limit: int, only: Sequence[contract.Alarm] = ()) -> Alarms:
    """The alarms and at most `limit` of their state changes since a time in epoch ms. only: these; empty: all."""
    alarms = current(aws, names, only)
    histories = pool.gather({a.name: partial(_history, aws, a.name, since, limit + 1) for a in alarms})
    turns: list[StateChange] = []
    for history in histories.values():
        if isinstance(history, Exception):
            raise history
        turns += history
    turns.sort(key=lambda t: t.at, reverse=True)
    return Alarms(alarms, turns[:limit], more=len(turns) > limit)


def _history(aws: Aws, alarm: str, since: int, limit: int) -> list[StateChange]:
    turns = []
    for turn in service.history(aws, alarm, since_ms=since):
        turns.append(turn)
        if len(turns) == limit:
            break
    return turns
