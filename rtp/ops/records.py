"""Stored records, newest first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.aws import records
from rtp.contract import STATUSES, Output
from rtp.errors import UsageError

if TYPE_CHECKING:
    from rtp.aws import Aws


@dataclass(frozen=True, slots=True)
class Records:
    """`records --json`."""

    records: list[dict[str, Any]]


def find(
    aws: Aws,
    outputs: dict[str, str],
    *,
    shards: int,
    statuses: tuple[str, ...],
    kind: str | None,
    since: int,
    until: int,
    limit: int,
) -> Records:
    """The newest `limit` records of these statuses (all where empty) and this type, between two times in epoch ms."""
    for status in statuses:
        if status not in STATUSES:
            raise UsageError(f"{status!r} is not a status.", hint=f"One of {', '.join(STATUSES)}.")
    wanted = statuses or STATUSES
    # A type is not in the index: read on until enough are found, with a bound on what one page brings.
    reach = limit if kind is None else max(limit, 1000)

    def of(status: str) -> list[dict[str, Any]]:
        return records.by_status(
            aws, outputs[Output.TABLE], status, shards=shards, since=since, until=until, limit=reach
        )

    with ThreadPoolExecutor(max_workers=len(wanted)) as pool:
        rows = [r for rows in pool.map(of, wanted) for r in rows if kind is None or r.get("type") == kind]
    rows.sort(key=lambda r: (-int(r["timestamp"]), str(r["id"])))
    return Records(rows[:limit])
