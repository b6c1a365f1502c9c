"""Read events from --data, a file or a stream, and check all of them before the first one is sent.

A missing id is inserted into the event's own text. The JSON is not written again, so numbers are sent digit by digit.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from itertools import islice
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol

from rtp.errors import UsageError
from rtp.ops.events.identity import uuid7
from rtp.runtime import event as rules
from rtp.runtime import wire
from rtp.runtime.event import Identity, InvalidEventError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    _Source = Callable[[], AbstractContextManager[IO[bytes]]]  # opens the input at its start

_NOBODY = Identity("", -1)
_SHOWN = 5  # problems in one error
_ID_ROOM = len('"id":"",') + 36
_SPACE = " \t\r\n"
_BLANK = b" \t\r\n\xef\xbb\xbf"  # and a byte order mark


@dataclass(frozen=True, slots=True)
class Event:
    """An event ready to send. body: its JSON text with an id; line: its line in an NDJSON file, from 1.

    digest: of type and data, which another event with the same identity does not have. is_new: its id was made here.
    """

    body: str
    id: str
    timestamp: int
    type: str
    line: int | None = None
    digest: str = ""
    is_new: bool = False


class Ids(Protocol):
    """Ids that an earlier send made; see rtp.ops.events.send_journal."""

    ids: dict[int, str]
    answered: set[str]

    def made(self, number: int, event_id: str) -> None:
        """Record an id before its event is sent."""


class Payload:
    """Checked events. Each iteration creates the missing ids, so a second one yields new events."""

    def __init__(self, count: int, texts: Callable[[], Iterator[tuple[int | None, str]]]) -> None:
        self._each = count
        self._times = 1
        self._texts = texts
        self._journal: Ids | None = None

    def repeated(self, times: int) -> Payload:
        """The same events `times` times. Raises UsageError where an event has an id, which would repeat that event."""
        if times > 1 and any(_checked(text).id for _, text in self._texts()):
            raise UsageError(
                "--count would send the same event again, because it has an id.", hint="Remove the id, or --count."
            )
        more = Payload(self._each, self._texts)
        more._times = times
        return more

    def recorded(self, journal: Ids) -> Payload:
        """The same events with the ids of a journal, without those that were answered; it gets each new id."""
        more = Payload(self._each, self._texts)
        more._times = self._times
        more._journal = journal
        return more

    def __len__(self) -> int:
        count = self._each * self._times
        return count if self._journal is None else count - len(self._journal.answered)

    def __iter__(self) -> Iterator[Event]:
        number = -1
        answered = frozenset(self._journal.answered) if self._journal is not None else frozenset()
        for _ in range(self._times):
            for line, text in self._texts():
                number += 1
                known = self._journal.ids.get(number) if self._journal is not None else None
                event = _event(text, line, known)
                if event.id in answered:
                    continue
                if self._journal is not None and known is None and event.is_new:
                    self._journal.made(number, event.id)
                yield event


def of_data(data: str, kind: str | None) -> Payload:
    """Read one event from `--data` and `--type`; without a type, the data is the whole event. Raises UsageError."""
    text = data.strip(_SPACE)
    problem = _not_json(text)  # checked by itself, so that the position is that of the text as given
    if kind is not None:
        text = f'{{"type":{json.dumps(kind)},"data":{text}}}'
    problem = problem or _problem(text)
    if problem:
        fix = "--data takes the event's data as a JSON object; --type names its type."
        raise UsageError(f"--data: {problem}", hint=fix, code="not-an-event")
    return Payload(1, lambda: iter([(None, text)]))


def of_file(path: Path) -> Payload:
    """Read the events of a file: one event, a JSON array, or one event per line. Raises UsageError."""
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe such as <(…) can be read only once
            return of_stream(io.BytesIO(path.read_bytes()), str(path))
        return _read(lambda: path.open("rb"), str(path))
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder.", hint="Name a file with one event, a JSON array, or NDJSON.") from None
    except FileNotFoundError:
        raise UsageError(
            f"There is no file {path}.", hint="Give the path of a file with events, or `-` for standard input."
        ) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from None


def of_stream(stream: BinaryIO, name: str) -> Payload:
    """As of_file, from an open stream, which need not be seekable."""
    content = stream.read()
    return _read(lambda: io.BytesIO(content), name)


def _read(source: _Source, name: str) -> Payload:
    with source() as file:
        start = list(islice((line for line in file if line.strip(_BLANK)), 2))
    if not start:
        raise UsageError(f"{name} is empty.", hint="Put one event, a JSON array, or one event per line into it.")
    if start[0].lstrip(_BLANK)[:1] != b"[" and any(_complete(line) for line in start):
        return _lines(source, name)
    with source() as file:
        return _document(file.read(), name)


def _document(content: bytes, name: str) -> Payload:
    text = _decoded(content, name)
    if text[:1] != "[":
        problem = _problem(text)
        if problem:
            raise _not_events(f"{name}: {problem}")
        return Payload(1, lambda: iter([(None, text)]))
    spans = _elements(text, name)
    if not spans:
        raise UsageError(f"{name}: the array is empty.", hint="Nothing to send.")
    _raise_problems(name, ((f"[{n}]", _problem(text[a:b])) for n, (a, b) in enumerate(spans)), len(spans))
    return Payload(len(spans), lambda: ((None, text[a:b]) for a, b in spans))


def _lines(source: _Source, name: str) -> Payload:
    def texts() -> Iterator[tuple[int | None, str]]:
        with source() as file:
            for number, line in enumerate(file, start=1):
                if line.strip(_BLANK):
                    yield number, _decoded(line, f"{name} line {number}")

    count = sum(1 for _ in texts())
    # The prefix names the line, so the problem names only the position in it.
    problems = (
        (f"line {number}", _problem(text).replace(" at line 1 column ", " at column ")) for number, text in texts()
    )
    _raise_problems(name, problems, count)
    # Bounded by the count, because what was appended to the file meanwhile is not checked.
    return Payload(count, lambda: islice(texts(), count))


def _elements(text: str, name: str) -> list[tuple[int, int]]:
    """The start and end of each element of a JSON array in its text."""
    decoder = json.JSONDecoder()
    spans: list[tuple[int, int]] = []
    at = _skip(text, 1)
    try:
        while text[at : at + 1] != "]" or spans:
            _, end = decoder.raw_decode(text, at)
            spans.append((at, end))
            at = _skip(text, end)
            if text[at : at + 1] == "]":
                break
            if text[at : at + 1] != ",":
                raise json.JSONDecodeError("Expecting ',' or ']'", text, at)
            at = _skip(text, at + 1)
        if text[at + 1 :].strip(_SPACE):
            raise json.JSONDecodeError("Extra data after the array", text, _skip(text, at + 1))
    except json.JSONDecodeError as error:
        raise _not_events(f"{name}: not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except (ValueError, RecursionError):
        raise _not_events(f"{name}: element [{len(spans)}] is nested too deeply or holds too long a number") from None
    return spans


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _raise_problems(name: str, problems: Iterator[tuple[str, str]], count: int) -> None:
    shown: list[str] = []
    wrong = 0
    for where, problem in problems:
        if problem:
            wrong += 1
            if wrong <= _SHOWN:
                shown.append(f"{where}: {problem}")
    if not wrong:
        return
    if count == 1:
        raise _not_events(f"{name}: {shown[0]}")
    verb = "is not an event" if wrong == 1 else "are not events"
    more = f"; and {wrong - _SHOWN} more" if wrong > _SHOWN else ""
    raise _not_events(f"{name}: {wrong} of {count} {verb}: {'; '.join(shown)}{more}")


def _not_events(message: str) -> UsageError:
    return UsageError(
        message,
        hint='An event is {"type": "…", "data": {…}}, with id and timestamp if needed, up to 256 KiB. None was sent.',
        code="not-an-event",
    )


def _problem(text: str) -> str:
    """Describe what is wrong with an event's text; empty where it is valid."""
    try:
        event = _checked(text)
    except InvalidEventError as error:
        return "; ".join(f"{p.path}: {p.message}" if p.path != "$" else p.message for p in error.problems[:_SHOWN])
    if event.type == wire.DRILL:
        return f"$.type: {wire.DRILL} is reserved for `rtp drill`"
    size = len(wire.request_body(text).encode()) + (0 if event.id else _ID_ROOM)
    if size > wire.MAX_BODY_BYTES:
        return f"too large: {size:,} bytes, at most {wire.MAX_BODY_BYTES:,}"
    return ""


def _checked(text: str) -> rules.Event:
    """Parse the event by the rules of the pipeline; its id is empty where the text has none."""
    return rules.parse(text, _NOBODY)


def _not_json(text: str) -> str:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"not JSON: {error.msg} at line {error.lineno} column {error.colno}"
    except (ValueError, RecursionError):
        return ""  # JSON that the rules of an event do not allow, which report it
    return ""


def _complete(line: bytes) -> bool:
    try:
        json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        return False
    return True


def _event(text: str, line: int | None, known: str | None = None) -> Event:
    """An event ready to send. known: the id that an earlier send made for it."""
    event = _checked(text)
    if event.id:
        return Event(text, event.id, event.timestamp, event.type, line, event.digest)
    new_id = known or uuid7()
    timestamp = event.timestamp if event.timestamp >= 0 else wire.uuid7_timestamp(new_id) or 0
    start = text.index("{") + 1
    return Event(
        f'{text[:start]}"id":"{new_id}",{text[start:]}', new_id, timestamp, event.type, line, event.digest, True
    )


def _decoded(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig").strip(_SPACE)
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: not UTF-8 text (byte {error.start}).", hint="Save it as UTF-8.") from None
