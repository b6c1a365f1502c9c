"""A record as DynamoDB's item. The attributes are listed in docs/records.md; readers of the table rely on them.

On its last delivery an event is claimed as `dead`, with `Interrupted` as the reason, so that the record is right even
if the function is killed. Whatever its status, a record whose `lease_until` is in the future is being processed.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from rtp.runtime import attributes, dlqnote, jsontext
from rtp.runtime.errors import info

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.runtime.archive import Archive
    from rtp.runtime.claims import ClaimRequest, Ending, Origin
    from rtp.runtime.dlqnote import DlqNote
    from rtp.runtime.errors import ErrorInfo
    from rtp.runtime.event import Event, Identity

    Attributes = dict[str, dict[str, Any]]

_MAX_ATTEMPTS = 50  # in the list; attempt_count has them all
_MAX_ATTEMPT_MESSAGE = 200  # characters; the record's own error has all of it
_MAX_INLINE = {"data": 180_000, "result": 140_000}  # bytes; the rest of the 400 KB is for attempts and the small fields
_INTERRUPTED = info("Interrupted", "the last attempt did not finish: it was killed, or ran out of time or memory")


class Items:
    """Builds the attributes that each write sets."""

    def __init__(self, archive: Archive, *, shards: int, release: str, clock: Callable[[], float]) -> None:
        self._archive = archive
        self._shards = shards
        self._release = release
        self._clock = clock

    def claimed(self, request: ClaimRequest) -> Attributes:
        """Return the attributes of a claim."""
        event = request.event
        return {
            **(self.dead(event) if request.is_last else self._status(event, "processing")),
            **_arrival(event, request.origin, self._release),
            **self._value(event.identity, "data", event.data),
            "lease": {"S": request.token},
            "lease_until": millis(request.until),
            "attempted_at": millis(self._clock()),
        }

    def first_claimed(self, request: ClaimRequest) -> Attributes:
        """Return the whole item of an event's first claim."""
        return {
            **key(request.event.identity),
            **self.claimed(request),
            "attempt_count": {"N": "1"},
            "accepted_at": millis(self._clock()),
            **({dlqnote.ATTRIBUTE: noted(request.note)} if request.is_last and request.note is not None else {}),
        }

    def dead(self, event: Event) -> Attributes:
        """Return the attributes of a last attempt, for the case that it does not finish."""
        return {**self._status(event, "dead"), "error": _error(_INTERRUPTED)}

    def stored(self, ending: Ending) -> Attributes:
        """Return the whole item of an event that is stored as is."""
        now, event = self._clock(), ending.event
        return {
            **key(event.identity),
            **self._status(event, ending.verdict.status),
            **_arrival(event, ending.origin, self._release),
            **self._value(event.identity, "data", event.data),
            "attempts": _attempts(ending, now, self._release),
            "attempt_count": {"N": "1"},
            "accepted_at": millis(ending.verdict.started),
            "processed_at": millis(now),
        }

    def ended(self, ending: Ending) -> Attributes:
        """Return the attributes of the end of a claimed attempt."""
        now, verdict = self._clock(), ending.verdict
        sets = {
            **self._status(ending.event, verdict.status),
            "attempts": _attempts(ending, now, self._release),
            "lease_until": {"N": "0"},
        }
        if verdict.error is not None:
            note = {dlqnote.ATTRIBUTE: noted(ending.note)} if ending.note is not None and not ending.is_covered else {}
            return sets | {"error": _error(verdict.error)} | note
        result = {} if verdict.result is None else self._value(ending.event.identity, "result", verdict.result)
        return sets | {"processed_at": millis(now)} | result

    def _status(self, event: Event, status: str) -> Attributes:
        """Return the status and its partition of the index: the status alone would be one hot partition."""
        shard = zlib.crc32(event.id.encode("utf-8", "surrogatepass")) % self._shards
        return {"status": {"S": status}, "status_shard": {"S": f"{status}#{shard}"}}

    def _value(self, identity: Identity, name: str, value: Any) -> Attributes:
        """Return the value as an attribute; if an item cannot hold it, store it and return its key as `name`_key."""
        try:
            return {name: attributes.pack(value, _MAX_INLINE[name])}
        except attributes.NotNativeError:
            return {f"{name}_key": {"S": self._archive.write_value(identity, name, jsontext.dumps(value))}}


def key(identity: Identity) -> Attributes:
    """Return the table's key."""
    return {"id": {"S": identity.id}, "timestamp": {"N": str(identity.timestamp)}}


def leased(identity: Identity, token: str) -> Attributes:
    """Return key and lease: the condition of a write that is only allowed to the claim with this token."""
    return {**key(identity), "lease": {"S": token}}


def noted(note: DlqNote) -> dict[str, Any]:
    """Return the note of the event's message in the DLQ as the table has it."""
    return attributes.pack(note.values)


def millis(seconds: float) -> dict[str, str]:
    """Return a time (epoch s) as the table has it (epoch ms)."""
    return {"N": str(int(seconds * 1000))}


def _arrival(event: Event, origin: Origin, release: str) -> Attributes:
    """Return the attributes that every delivery writes, except the data. release: of the code that attempts it."""
    sets: Attributes = {"type": {"S": event.type}, "digest": {"S": event.digest}, "source": {"S": origin.source}}
    for name in ("request_id", "trace_id", "invocation_trace_id", "raw_key", "message_id"):
        if text := getattr(origin, name):
            sets[name] = {"S": text}
    if release:
        sets["release"] = {"S": release}
    if origin.replay:
        sets["replay_run"] = {"S": origin.replay}
    return sets


def _error(error: ErrorInfo) -> dict[str, Any]:
    """Return the record's error."""
    at = {"at": error.at} if error.at else {}
    return attributes.pack({"type": error.type, "message": error.message, "signature": error.signature, **at})


def _attempts(ending: Ending, now: float, release: str) -> dict[str, Any]:
    """Return the list of attempts with this one at its end. Attempts whose end was not written are `interrupted`."""
    verdict = ending.verdict
    earlier = ending.claim.attempts if ending.claim else []
    number = ending.claim.number if ending.claim else 1
    last_number = max((int(attempt["n"]) for attempt in earlier), default=0)
    first = max(last_number + 1, number - _MAX_ATTEMPTS)
    interrupted = [{"n": n, "outcome": "interrupted"} for n in range(first, number)]
    attempt: dict[str, Any] = {
        "n": number,
        "at": int(verdict.started * 1000),
        "outcome": verdict.outcome,
        "duration_ms": max(0, int((now - verdict.started) * 1000)),
    }
    for name in ("request_id", "trace_id", "invocation_trace_id"):
        if text := getattr(ending.origin, name):
            attempt[name] = text
    if release:
        attempt["release"] = release
    if verdict.error is not None:
        at = {"at": verdict.error.at} if verdict.error.at else {}
        message = verdict.error.message[:_MAX_ATTEMPT_MESSAGE]
        attempt["error"] = {"type": verdict.error.type, "message": message, **at}
    return attributes.pack([*earlier, *interrupted, attempt][-_MAX_ATTEMPTS:])
