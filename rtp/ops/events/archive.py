"""Read the raw archive, which has a line with the unchanged text of every delivery.

Its objects are `raw/yyyy/mm/dd/hh/NAME.ndjson.gz`, by the hour of writing (UTC). A record's raw_key is `KEY#LINE`.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from rtp.aws import objects
from rtp.errors import RtpError
from rtp.ops.work import pool
from rtp.runtime import digest, wire
from rtp.runtime.event import Identity, InvalidEventError, parse
from rtp.text.given import Given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.aws import Aws

_AHEAD = 8  # objects read in advance
_MOST_BYTES, _MOST_LINES = 64_000_000, 10_000  # of an object: a batch has 10,000 messages and 6 MB at most


@dataclass(frozen=True, slots=True)
class RawEvent:
    """An archived delivery. body: the event's unchanged text; received_at: epoch ms; key: `KEY#LINE`.

    digest: of type and data, as the record has it.
    """

    id: str
    timestamp: int
    type: str
    received_at: int
    body: str
    key: str
    digest: str = ""

    @property
    def identity(self) -> Identity:
        """The event's (id, timestamp), also where its text has no id."""
        return Identity(self.id, self.timestamp)


def at(aws: Aws, bucket: str, raw_key: str) -> RawEvent | None:
    """The delivery that a record's raw_key names; None where the object or the line does not exist."""
    key, _, number = raw_key.rpartition("#")
    if not key or not number.isdecimal():
        return None
    try:
        events = read(aws, bucket, key)
    except RtpError as error:
        if error.code == "no-object":
            return None
        raise
    return next((event for event in events if event.key == raw_key), None)


def between(aws: Aws, bucket: str, since: int, until: int) -> Iterator[RawEvent]:
    """The deliveries that were archived between two times (epoch ms), by object in order of time."""
    first, last = _hour(since), _hour(until)
    # A key begins with its hour, so S3 leaves out the objects of earlier hours.
    keys: Iterator[str] = objects.keys(aws, bucket, wire.RAW_PREFIX, after=first)
    keys = takewhile(lambda key: key[: len(last)] <= last, keys)
    for events in pool.map(lambda key: read(aws, bucket, key), keys, threads=_AHEAD, ahead=_AHEAD):
        yield from _within(events, since, until)


def read(aws: Aws, bucket: str, key: str) -> list[RawEvent]:
    """Every delivery in one object; invalid lines are skipped. Raises RtpError for a damaged object."""
    events = (_event(line, f"{key}#{number}") for number, line in enumerate(lines(aws, bucket, key)))
    return [event for event in events if event is not None]


def lines(aws: Aws, bucket: str, key: str) -> list[bytes]:
    """The lines of one object, unpacked within limits. Raises RtpError for one that the functions did not write."""
    try:
        content = objects.get(aws, bucket, key, most=_MOST_BYTES)
        with gzip.GzipFile(fileobj=io.BytesIO(content)) if key.endswith(".gz") else io.BytesIO(content) as file:
            text = file.read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error):
        raise _damaged(key, "it is damaged") from None
    except RtpError as error:
        if error.code != "object-too-large":
            raise
        raise _damaged(key, "it is too large") from None
    if len(text) > _MOST_BYTES:
        raise _damaged(key, "it is too large once it is unpacked")
    found = list(islice(io.BytesIO(text), _MOST_LINES + 1))
    if len(found) > _MOST_LINES:
        raise _damaged(key, f"it has more than {_MOST_LINES:,} lines")
    return found


def _damaged(key: str, why: str) -> RtpError:
    return RtpError(
        f"The archived object {key} cannot be read: {why}.", hint="Use --since and --until to leave it out."
    )


def _hour(ms: int) -> str:
    return f"{wire.RAW_PREFIX}{datetime.fromtimestamp(max(0, ms) / 1000, UTC):%Y/%m/%d/%H}/"


def _within(events: list[RawEvent], since: int, until: int) -> Iterator[RawEvent]:
    return (event for event in events if since <= event.received_at <= until)


def _event(line: bytes, key: str) -> RawEvent | None:
    try:
        value = Given(json.loads(line))
        identity = Identity(value.text("id"), value.integer("timestamp", most=wire.MAX_TIMESTAMP))
        body, received_at = value.text("body"), value.integer("received_at")
    except (ValueError, RecursionError):
        return None
    try:
        event = parse(body, identity)
        event_type, content = event.type, event.digest
    except InvalidEventError as error:
        event_type, content = error.type, digest.of_text(body)
    return RawEvent(identity.id, identity.timestamp, event_type, received_at, body, key, content)
