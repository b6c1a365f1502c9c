"""DynamoDB: one item an event. Conditional writes make a repeat harmless and let one delivery at a time run.

claim   takes the event with a lease that ends with the function's time; refused while another runs, or once processed
keep    writes an event that needs no processing, in one step; refused if there is a record
finish  ends the claim with the attempt's outcome; refused if the lease was lost

On its last delivery an event is claimed as `dead`, with `Interrupted` as the reason, so that the record is right even
if the function is killed. Whatever its status, a record whose `lease_until` lies ahead is being worked on.
"""

from __future__ import annotations

import os
import time
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from rtp.runtime import attributes, jsontext
from rtp.runtime.errors import ErrorInfo, info

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.runtime.archive import Archive
    from rtp.runtime.event import Event, Identity

MAX_ATTEMPTS_KEPT = 50
_MAX_ATTEMPT_MESSAGE = 200  # characters; the record's own error has all of it
_MAX_INLINE = {"data": 180_000, "result": 140_000}  # bytes; the rest of the 400 KB is for attempts and the small fields
_MAX_LEASE = 900 + 60  # s; a lease that ends later was written by a clock that is wrong
_NAMES = {
    "#s": "status",
    "#t": "timestamp",
    "#y": "type",
    "#d": "data",
    "#r": "result",
    "#c": "source",
    "#l": "lease",
    "#e": "error",
}
_FREE = (
    "attribute_not_exists(id) OR (#s <> :processed AND "
    "(attribute_not_exists(lease_until) OR lease_until < :now OR lease_until > :horizon))"
)

# A replay may have a processed event too, once: a second delivery of the same run finds it done.
_AGAIN = f"({_FREE}) OR (#s = :processed AND (attribute_not_exists(replay_run) OR replay_run <> :replay_run))"


class Claim(NamedTuple):
    """The right to process an event until `until` (epoch s). `attempts` are the earlier ones, as stored."""

    token: str
    number: int
    attempts: list[dict[str, Any]]
    until: float


class Known(NamedTuple):
    """The event has been processed; this is its record."""

    record: dict[str, Any]


class Busy(NamedTuple):
    """Another delivery works on the event until `until` (epoch s); `message_id` is its message, if it came by queue."""

    until: float
    message_id: str = ""


class Origin(NamedTuple):
    """How a delivery came, as the record notes it. replay: the run that wants the event processed again."""

    source: str
    request_id: str = ""
    trace_id: str = ""
    raw_key: str = ""
    message_id: str = ""
    replay: str = ""


class Ending(NamedTuple):
    """How an attempt ended. outcome: processed, failed, rejected or interrupted; status: the record's from now on."""

    status: str
    outcome: str
    started: float
    error: ErrorInfo | None = None
    result: Any = None


class Store:
    """The table. Values too large for an item are kept in the archive, and read from there."""

    def __init__(
        self, dynamodb: Any, table: str, archive: Archive, *, shards: int = 4, clock: Callable[[], float] = time.time
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._archive = archive
        self._shards = shards
        self._clock = clock

    def claim(self, event: Event, origin: Origin, *, until: float, last: bool) -> Claim | Known | Busy:
        """Take the event for this delivery. `last` says that no further delivery will follow."""
        now, token = self._clock(), os.urandom(12).hex()
        values = {
            **self._status(event.id, "dead" if last else "processing"),
            ":processed": {"S": "processed"},
            ":now": _millis(now),
            ":horizon": _millis(now + _MAX_LEASE),
            ":until": _millis(until),
            ":token": {"S": token},
            ":zero": {"N": "0"},
            ":one": {"N": "1"},
            ":y": {"S": event.type},
            ":c": {"S": origin.source},
        }
        sets = [
            "#s = :s, status_shard = :shard, lease_until = :until, #l = :token, #y = :y, #c = :c, attempted_at = :now",
            "attempt_count = if_not_exists(attempt_count, :zero) + :one",
            "accepted_at = if_not_exists(accepted_at, :now)",
        ]
        removes: list[str] = []
        self._put_value(event.identity, "data", "#d", event.data, values, sets, removes)
        for name in ("request_id", "trace_id", "raw_key", "message_id"):
            if text := getattr(origin, name):
                values[f":{name}"] = {"S": text}
                sets.append(f"{name} = :{name}")
        if origin.replay:
            values[":replay_run"] = {"S": origin.replay}
            sets.append("replay_run = :replay_run")
        if last:
            values[":e"] = _error(
                info("Interrupted", "the last attempt came to no end: killed, or out of time or memory")
            )
            sets.append("#e = :e")
        try:
            free = _AGAIN if origin.replay else _FREE
            old = self._update(event.identity, sets, removes, values, free, "ALL_OLD").get("Attributes", {})
        except self._dynamodb.exceptions.ConditionalCheckFailedException as refused:
            return self._taken(refused, token, until)
        number = int(old["attempt_count"]["N"]) + 1 if "attempt_count" in old else 1
        return Claim(token, number, attributes.unpack(old["attempts"]) if "attempts" in old else [], until)

    def keep(self, event: Event, origin: Origin, started: float) -> Known | None:
        """Write an event that is stored as it came. None when written, else the processed record that is there.

        Raises LookupError when an unfinished record stands in the way, which has to be claimed.
        """
        now = self._clock()
        attempt = _attempt(1, started, now, Ending(status="processed", outcome="processed", started=started), origin)
        status = self._status(event.id, "processed")
        item: dict[str, Any] = {
            **_key(event.identity),
            "status": status[":s"],
            "status_shard": status[":shard"],
            "type": {"S": event.type},
            "source": {"S": origin.source},
            "accepted_at": _millis(started),
            "processed_at": _millis(now),
            "attempt_count": {"N": "1"},
            "attempts": {"L": [attributes.pack(attempt)]},
        }
        name, value = self._value(event.identity, "data", event.data)
        item[name] = value
        for text in ("request_id", "trace_id", "raw_key", "message_id"):
            if getattr(origin, text):
                item[text] = {"S": getattr(origin, text)}
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(id)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException as refused:
            if (known := self._taken(refused, "", 0)) and isinstance(known, Known):
                return known
            raise LookupError(event.id) from None
        return None

    def finish(self, event: Event, origin: Origin, claim: Claim, ending: Ending) -> Known | Busy | None:
        """Write how the attempt ended. None when written; otherwise who has the event now."""
        now = self._clock()
        attempts = [*claim.attempts, *_lost(claim), _attempt(claim.number, ending.started, now, ending, origin)]
        values = {
            **self._status(event.id, ending.status),
            ":token": {"S": claim.token},
            ":attempts": attributes.pack(attempts[-MAX_ATTEMPTS_KEPT:]),
        }
        sets, removes = ["#s = :s, status_shard = :shard, attempts = :attempts"], ["lease_until"]
        if ending.error is None:
            values[":at"] = _millis(now)
            sets.append("processed_at = :at")
            removes.append("#e")
            if ending.result is not None:
                self._put_value(event.identity, "result", "#r", ending.result, values, sets, removes)
        else:
            values[":e"] = _error(ending.error)
            sets.append("#e = :e")
        try:
            self._update(event.identity, sets, removes, values, "#l = :token", "NONE")
        except self._dynamodb.exceptions.ConditionalCheckFailedException as refused:
            taken = self._taken(refused, "", 0)
            return taken if isinstance(taken, (Known, Busy)) else Busy(now)
        return None

    def get(self, identity: Identity) -> Known | Busy | None:
        """Where the event stands now: processed, being worked on, or neither."""
        item = self._dynamodb.get_item(TableName=self._table, Key=_key(identity), ConsistentRead=True).get("Item")
        return self._standing(item) if item else None

    def _taken(self, refused: Any, token: str, until: float) -> Claim | Known | Busy:
        """Why a conditional write was refused, from the item that came with the refusal."""
        item = refused.response.get("Item") or {}
        if (
            token and item.get("lease", {}).get("S") == token
        ):  # our own write, whose answer was lost and which was sent again
            attempts = attributes.unpack(item["attempts"]) if "attempts" in item else []
            return Claim(token, int(item["attempt_count"]["N"]), attempts, until)
        return self._standing(item)

    def _standing(self, item: dict[str, Any]) -> Known | Busy:
        if item.get("status", {}).get("S") == "processed":
            return Known(self._record(item))
        until = int(item.get("lease_until", {"N": "0"})["N"]) / 1000
        return Busy(until, item.get("message_id", {}).get("S", ""))

    def _record(self, item: dict[str, Any]) -> dict[str, Any]:
        record = {name: attributes.unpack(value) for name, value in item.items()}
        if "result_key" in record:
            record["result"] = self._archive.read_value(record["result_key"])
        return record

    def _update(
        self,
        identity: Identity,
        sets: list[str],
        removes: list[str],
        values: dict[str, Any],
        condition: str,
        returned: str,
    ) -> dict[str, Any]:
        expression = f"SET {', '.join(sets)}" + (f" REMOVE {', '.join(removes)}" if removes else "")
        made: dict[str, Any] = self._dynamodb.update_item(
            TableName=self._table,
            Key=_key(identity),
            UpdateExpression=expression,
            ConditionExpression=condition,
            ExpressionAttributeNames={n: a for n, a in _NAMES.items() if n in expression or n in condition},
            ExpressionAttributeValues=values,
            ReturnValues=returned,
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
        return made

    def _put_value(
        self,
        identity: Identity,
        name: str,
        alias: str,
        value: Any,
        values: dict[str, Any],
        sets: list[str],
        removes: list[str],
    ) -> None:
        attribute, packed = self._value(identity, name, value)
        values[f":{name}"] = packed
        inline = attribute == name
        sets.append(f"{alias if inline else attribute} = :{name}")
        removes.append(f"{name}_key" if inline else alias)

    def _value(self, identity: Identity, name: str, value: Any) -> tuple[str, dict[str, Any]]:
        """Attribute and value: the value itself, or `name`_key with where it is kept when an item cannot hold it."""
        try:
            packed = attributes.pack(value)
            if attributes.size(packed) <= _MAX_INLINE[name]:
                return name, packed
        except attributes.NotNativeError:
            pass
        return f"{name}_key", {"S": self._archive.write_value(identity, name, jsontext.dumps(value))}

    def _status(self, id: str, status: str) -> dict[str, Any]:
        shard = zlib.crc32(id.encode("utf-8", "surrogatepass")) % self._shards
        return {":s": {"S": status}, ":shard": {"S": f"{status}#{shard}"}}


def _key(identity: Identity) -> dict[str, Any]:
    return {"id": {"S": identity.id}, "timestamp": {"N": str(identity.timestamp)}}


def _millis(seconds: float) -> dict[str, str]:
    return {"N": str(int(seconds * 1000))}


def _error(error: ErrorInfo) -> dict[str, Any]:
    return attributes.pack({"type": error.type, "message": error.message, "signature": error.signature})


def _lost(claim: Claim) -> list[dict[str, Any]]:
    """Earlier attempts that never wrote their end: the function was killed."""
    seen = max((int(a["n"]) for a in claim.attempts), default=0)
    first = max(seen + 1, claim.number - MAX_ATTEMPTS_KEPT)
    return [{"n": n, "outcome": "interrupted"} for n in range(first, claim.number)]


def _attempt(number: int, started: float, ended: float, ending: Ending, origin: Origin) -> dict[str, Any]:
    made: dict[str, Any] = {
        "n": number,
        "at": int(started * 1000),
        "outcome": ending.outcome,
        "duration_ms": max(0, int((ended - started) * 1000)),
    }
    if origin.request_id:
        made["request_id"] = origin.request_id
    if origin.trace_id:
        made["trace_id"] = origin.trace_id
    if ending.error is not None:
        made["error"] = {"type": ending.error.type, "message": ending.error.message[:_MAX_ATTEMPT_MESSAGE]}
    return made
