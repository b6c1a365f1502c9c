"""Events: identity, rules, and the object that a processor gets."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, NamedTuple

from rtp.runtime import digest, jsontext, wire
from rtp.runtime.jsontext import JsonError, Problem

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # a type checker has it; the standard one takes a default from Python 3.13

    Data = TypeVar("Data", default=dict[str, Any])
else:
    from typing import TypeVar

    Data = TypeVar("Data")

_MS = "milliseconds since 1970"
_FIELDS = ("type", "data", "id", "timestamp")


class Identity(NamedTuple):
    """The table's key. Deliveries with the same identity are the same event. timestamp: epoch ms."""

    id: str
    timestamp: int


class InvalidEventError(ValueError):
    """The text is not an event. `problems` has each path; `identity`, for the dead record, is what could be read."""

    def __init__(self, problems: tuple[Problem, ...], identity: Identity, type: str = "") -> None:
        super().__init__("; ".join(f"{p.path}: {p.message}" for p in problems))
        self.problems = problems
        self.identity = identity
        self.type = type


@dataclass(slots=True, kw_only=True)
class Event(Generic[Data]):
    """An event as a processor gets it.

    `data` has exact numbers: int, or Decimal for fractions; with `@processor(…, data=Model)` it is a Model, and the
    event an `Event[Model]` to a type checker.
    `attempt` counts from 1. `timestamp` is epoch ms. `digest` is of type and data as they were received.
    """

    type: str
    data: Data
    id: str = ""
    timestamp: int = 0
    source: str = "api"
    attempt: int = 1
    request_id: str = ""
    trace_id: str = ""
    depth: int = 0
    digest: str = ""
    emitted: list[Emitted] = field(default_factory=list)

    @property
    def identity(self) -> Identity:
        """(id, timestamp)."""
        return Identity(self.id, self.timestamp)

    def emit(self, type: str, data: dict[str, Any]) -> str:
        """Send a follow-up event once this one succeeds, and return its id.

        The id is derived from this event's, so that a second attempt emits the same events and not new ones.
        Raises EmitError if type and data are not an event, or after a chain of 8 emissions, which is likely a loop.
        """
        if self.depth >= wire.MAX_DEPTH:
            raise EmitError(f"the chain of emitted events is longer than {wire.MAX_DEPTH}, which is likely a loop")
        payload = {"type": type, "data": jsontext.exact(data, "$.data")}
        if type == wire.DRILL:
            raise EmitError(f"the type {wire.DRILL} is reserved for `rtp drill`")
        if problems := tuple(_rules(payload)):
            raise EmitError("; ".join(f"{p.path}: {p.message}" for p in problems))
        seed = f"{self.id}\0{self.timestamp}\0{len(self.emitted)}\0{type}"
        id = hashlib.sha256(seed.encode()).hexdigest()[:32]
        follow_up = Emitted(id, self.timestamp, type, payload["data"], self.depth + 1)
        follow_up = follow_up._replace(text=follow_up.body)
        if (size := len(follow_up.body.encode())) > wire.MAX_BODY_BYTES:
            raise EmitError(f"the emitted event has {size} bytes; the limit is {wire.MAX_BODY_BYTES}")
        self.emitted.append(follow_up)
        return id


class EmitError(ValueError):
    """A processor emitted something that is not an event, or too long a chain of events."""


class Emitted(NamedTuple):
    """A follow-up event. text: the message's, as it was when the event was emitted."""

    id: str
    timestamp: int
    type: str
    data: Any
    depth: int
    text: str = ""

    @property
    def body(self) -> str:
        """The JSON text for the message."""
        if self.text:
            return self.text
        event = {"id": self.id, "timestamp": self.timestamp, "type": self.type, "data": self.data}
        return wire.message_body(jsontext.dumps(event))


def parse(body: str | bytes, fallback: Identity) -> Event[Any]:
    """Parse the text of an event. Raises InvalidEventError. fallback: the identity of an event without an id."""
    try:
        value = jsontext.loads(body)
    except JsonError as error:
        raise _invalid(error.problems, error.value, fallback) from None
    problems = tuple(_rules(value))
    if problems:
        raise _invalid(problems, value, fallback)
    identity = _identity(value, fallback)
    if identity is None:
        missing = Problem("$.timestamp", "required with an id that is not a UUIDv7")
        raise _invalid((missing,), value, fallback)
    content = digest.of_event(value["type"], value["data"])
    return Event(id=identity.id, timestamp=identity.timestamp, type=value["type"], data=value["data"], digest=content)


def _invalid(problems: tuple[Problem, ...], value: Any, fallback: Identity) -> InvalidEventError:
    """The error for a value, with as much of its identity and type as can be read."""
    fields = value if isinstance(value, dict) else {}
    identity = _identity(fields, fallback) or Identity(fields["id"], fallback.timestamp)
    return InvalidEventError(problems, identity, _text(fields.get("type")))


def _identity(fields: dict[str, Any], fallback: Identity) -> Identity | None:
    """The identity of an event with these fields; None when it has an id but no timestamp."""
    timestamp: int | None = fields.get("timestamp")
    if not _is_timestamp(timestamp):
        timestamp = None
    id = _text(fields.get("id"))
    if not id:
        return Identity(fallback.id, fallback.timestamp if timestamp is None else timestamp)
    if timestamp is None:
        timestamp = wire.uuid7_timestamp(id)
    return None if timestamp is None else Identity(id, timestamp)


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
    if "timestamp" in value and not _is_timestamp(value["timestamp"]):
        problems.append(Problem("$.timestamp", f"must be an integer, {_MS}{_other_unit(value['timestamp'])}"))
    return problems


def _is_timestamp(value: Any) -> bool:
    in_range = type(value) is int and 0 <= value <= wire.MAX_TIMESTAMP
    return in_range and not wire.SECONDS[0] <= value <= wire.SECONDS[1]


def _other_unit(value: Any) -> str:
    """The milliseconds that a number of seconds, microseconds or nanoseconds probably means; empty for others."""
    if type(value) is int or isinstance(value, Decimal):
        for unit, in_second in (("seconds", 1), ("microseconds", 10**6), ("nanoseconds", 10**9)):
            if wire.SECONDS[0] <= value / in_second <= wire.SECONDS[1]:
                return f"; {value} looks like {unit}, which would be {int(value * 1000 / in_second)}"
    return ""


def _text(value: Any) -> str:
    """Return the value if it can be an id or a type, else an empty string."""
    is_name = isinstance(value, str) and len(value) <= wire.MAX_NAME and jsontext.encodable(value)
    return str(value) if is_name else ""
