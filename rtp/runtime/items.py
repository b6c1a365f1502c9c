"""What a record is made of. The attributes are listed in docs/records.md; readers of the table rely on them."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from rtp.runtime import attributes

if TYPE_CHECKING:
    from rtp.runtime.errors import ErrorInfo
    from rtp.runtime.event import Event, Identity

    Attributes = dict[str, dict[str, Any]]

MAX_ATTEMPTS_KEPT = 50
_MAX_ATTEMPT_MESSAGE = 200  # characters; the record's own error has all of it


class Origin(NamedTuple):
    """How a delivery came, as the record notes it. replay: the run that wants the event processed again."""

    source: str
    request_id: str = ""
    trace_id: str = ""
    raw_key: str = ""
    message_id: str = ""
    replay: str = ""


class Claim(NamedTuple):
    """The right to process an event until `until` (epoch s). `attempts` are the earlier ones, as stored.

    fresh: the record has nothing of an earlier attempt, nor of an end foretold, that this one would have to remove.
    """

    token: str
    number: int
    attempts: list[dict[str, Any]]
    until: float
    fresh: bool = False


class Ending(NamedTuple):
    """How an attempt ended. outcome: processed, failed, rejected or interrupted; status: the record's from now on."""

    status: str
    outcome: str
    started: float
    error: ErrorInfo | None = None
    result: Any = None


def key(identity: Identity) -> Attributes:
    """The table's key."""
    return {"id": {"S": identity.id}, "timestamp": {"N": str(identity.timestamp)}}


def status(id: str, name: str, shards: int) -> Attributes:
    """The status, and the index partition it is listed in: a bare status would be one hot partition."""
    shard = zlib.crc32(id.encode("utf-8", "surrogatepass")) % shards
    return {"status": {"S": name}, "status_shard": {"S": f"{name}#{shard}"}}


def came(event: Event, origin: Origin) -> Attributes:
    """What any delivery writes, beside the data."""
    made: Attributes = {"type": {"S": event.type}, "source": {"S": origin.source}}
    for name in ("request_id", "trace_id", "raw_key", "message_id"):
        if text := getattr(origin, name):
            made[name] = {"S": text}
    if origin.replay:
        made["replay_run"] = {"S": origin.replay}
    return made


def error(found: ErrorInfo) -> dict[str, Any]:
    """The record's own error."""
    return attributes.pack({"type": found.type, "message": found.message, "signature": found.signature})


def attempts(claim: Claim, ending: Ending, origin: Origin, ended: float) -> dict[str, Any]:
    """The list of attempts with this one at its end; those that never wrote their end were interrupted."""
    seen = max((int(a["n"]) for a in claim.attempts), default=0)
    first = max(seen + 1, claim.number - MAX_ATTEMPTS_KEPT)
    lost = [{"n": n, "outcome": "interrupted"} for n in range(first, claim.number)]
    made: dict[str, Any] = {
        "n": claim.number,
        "at": int(ending.started * 1000),
        "outcome": ending.outcome,
        "duration_ms": max(0, int((ended - ending.started) * 1000)),
    }
    for name in ("request_id", "trace_id"):
        if text := getattr(origin, name):
            made[name] = text
    if ending.error is not None:
        made["error"] = {"type": ending.error.type, "message": ending.error.message[:_MAX_ATTEMPT_MESSAGE]}
    return attributes.pack([*claim.attempts, *lost, made][-MAX_ATTEMPTS_KEPT:])


def millis(seconds: float) -> dict[str, str]:
    """A time as the table has it."""
    return {"N": str(int(seconds * 1000))}
