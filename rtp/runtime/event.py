"""The event: its identity, the rules at the door, and what a processor is handed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rtp.runtime import jsontext, wire
from rtp.runtime.jsontext import JsonError, Problem

_FIELDS = ("type", "data", "id", "timestamp")


class Identity(NamedTuple):
    """What makes two deliveries the same event; the table's key. timestamp in epoch ms."""

    id: str
    timestamp: int


class InvalidEventError(ValueError):
    """Not an event. `problems` names each path; `identity` is what can be said of who it is, for the dead record."""

    def __init__(self, problems: tuple[Problem, ...], identity: Identity, type: str = "") -> None:
        super().__init__("; ".join(f"{p.path}: {p.message}" for p in problems))
        self.problems = problems
        self.identity = identity
        self.type = type


@dataclass(slots=True, kw_only=True)
class Event:
    """What a processor is handed.

    `data` holds exact numbers: int, or Decimal for fractions; with `@processor(…, data=Model)` it is a Model.
    `attempt` is 1 the first time. `timestamp` is epoch ms.
    """

    type: str
    data: Any
    id: str = ""
    timestamp: int = 0
    source: str = "api"
    attempt: int = 1
    request_id: str = ""
    trace_id: str = ""
    depth: int = 0
    emitted: list[Emitted] = field(default_factory=list)

    @property
    def identity(self) -> Identity:
        """(id, timestamp)."""
        return Identity(self.id, self.timestamp)

    def emit(self, type: str, data: dict[str, Any]) -> str:
        """Send a follow-up event once this one succeeds, and return its id.

        The id is derived from this event's, so that a second attempt emits the same events and not new ones.
        A chain of more than 8 emissions is taken for a loop: EmitError.
        """
        if self.depth >= wire.MAX_DEPTH:
            raise EmitError(f"a chain of {wire.MAX_DEPTH} events that emit events is taken for a loop")
        payload = {"type": type, "data": jsontext.exact(data, "$.data")}
        if problems := tuple(_rules(payload)):
            raise EmitError("; ".join(f"{p.path}: {p.message}" for p in problems))
        seed = f"{self.id}\0{self.timestamp}\0{len(self.emitted)}\0{type}"
        made = Emitted(
            hashlib.sha256(seed.encode()).hexdigest()[:32], self.timestamp, type, payload["data"], self.depth + 1
        )
        if len(made.body.encode()) > wire.MAX_BODY_BYTES:
            raise EmitError(f"an emitted event may have {wire.MAX_BODY_BYTES} bytes")
        self.emitted.append(made)
        return made.id


class EmitError(ValueError):
    """The event that a processor emits is not one, or is one too many."""


class Emitted(NamedTuple):
    """A follow-up event, on its way to the queue."""

    id: str
    timestamp: int
    type: str
    data: Any
    depth: int

    @property
    def body(self) -> str:
        """The message that carries it."""
        return jsontext.dumps({"id": self.id, "timestamp": self.timestamp, "type": self.type, "data": self.data})


def parse(body: str | bytes, fallback: Identity) -> Event:
    """The event in a message, or InvalidEventError. `fallback` is who it is when it has no id of its own."""
    try:
        value = jsontext.loads(body)
    except JsonError as error:
        raise _invalid(error.problems, error.value, fallback) from None
    problems = tuple(_rules(value))
    if problems:
        raise _invalid(problems, value, fallback)
    identity = _identity(value, fallback)
    if identity is None:
        missing = Problem("$.timestamp", "required beside an id that is not a UUIDv7")
        raise _invalid((missing,), value, fallback)
    return Event(id=identity.id, timestamp=identity.timestamp, type=value["type"], data=value["data"])


def _invalid(problems: tuple[Problem, ...], value: Any, fallback: Identity) -> InvalidEventError:
    """The refusal of a value, under the identity and type that it names as far as these can be read."""
    given = value if isinstance(value, dict) else {}
    identity = _identity(given, fallback) or Identity(given["id"], fallback.timestamp)
    return InvalidEventError(problems, identity, _text(given.get("type")))


def _identity(value: Any, fallback: Identity) -> Identity | None:
    """Who the value is, as far as it says so; None when it has an id whose time is not known."""
    given = value if isinstance(value, dict) else {}
    timestamp = given.get("timestamp")
    known = timestamp if type(timestamp) is int and 0 <= timestamp <= wire.MAX_TIMESTAMP else None
    id = _text(given.get("id"))
    if not id:
        return Identity(fallback.id, fallback.timestamp if known is None else known)
    if known is None:
        known = wire.uuid7_timestamp(id)
    return None if known is None else Identity(id, known)


def _rules(value: Any) -> list[Problem]:
    if not isinstance(value, dict):
        return [Problem("$", "an event is a JSON object")]
    problems = [Problem(f"$.{name}", "required") for name in ("type", "data") if name not in value]
    problems += [
        Problem(jsontext.child("$", name[: wire.MAX_NAME]), "unknown; an event has type, data, id and timestamp")
        for name in value
        if name not in _FIELDS
    ][:20]
    for name in ("type", "id"):
        if name in value and not _text(value[name]):
            problems.append(Problem(f"$.{name}", f"must be a string of 1 to {wire.MAX_NAME} characters"))
    if "data" in value and not isinstance(value["data"], dict):
        problems.append(Problem("$.data", "must be an object"))
    timestamp = value.get("timestamp", 0)
    if type(timestamp) is not int or not 0 <= timestamp <= wire.MAX_TIMESTAMP:
        problems.append(Problem("$.timestamp", "must be an integer, milliseconds since 1970"))
    return problems


def _text(value: Any) -> str:
    """The value if it may name something, else nothing."""
    fits = isinstance(value, str) and 0 < len(value) <= wire.MAX_NAME and jsontext.encodable(value)
    return str(value) if fits else ""
