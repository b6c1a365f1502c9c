"""Edit events in the operator's editor before they are redriven."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.errors import ConfigError, RefusedError, RtpError, UsageError
from rtp.runtime import wire
from rtp.runtime.event import InvalidEventError, parse
from rtp.text import json_values
from rtp.trust import private

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rtp.ops.dlq.messages import DlqMessage

MAX_MESSAGES = 200
_MOST_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Edits:
    """texts: message id -> event text to send. file: what the editor has written; it stays until they are sent."""

    texts: dict[str, str]
    file: Path

    def end(self, redriven: int) -> str:
        """Delete the file if all were redriven. Returns a remark that names it where it stays."""
        if redriven >= len(self.texts):
            self.file.unlink(missing_ok=True)
            return ""
        return f"your edits are in {self.file}"


def edited(
    dlq_messages: Sequence[DlqMessage],
    *,
    environ: Mapping[str, str] = os.environ,
    call: Callable[[list[str]], int] = subprocess.call,
) -> Edits:
    """Open the events in $VISUAL or $EDITOR.

    An event that was not touched keeps its text to the byte; one that was deleted from the file is left out.
    Raises UsageError for a text that is not an event; the file is then kept, and the hint names it.
    """
    if len(dlq_messages) > MAX_MESSAGES:
        raise UsageError(
            f"{len(dlq_messages)} messages are too many to edit in one file.",
            hint=f"Select at most {MAX_MESSAGES}, for example with --limit.",
        )
    before = {dlq_message.message_id: _value(dlq_message) for dlq_message in dlq_messages}
    text = json_values.dumps(before, indent=2) + "\n"
    path = _write(text)
    try:
        _run_editor(path, environ, call)
    except RtpError as error:
        if _is_as_written(path, text):
            path.unlink(missing_ok=True)
        else:
            error.hint = f"{error.hint} Your edits are in {path}.".strip()
        raise
    after = _read(path)
    if _same(after, before):
        path.unlink()
        raise RefusedError("No event was edited; nothing was changed.")
    return Edits(_texts(dlq_messages, before, after, path), path)


def _run_editor(path: Path, environ: Mapping[str, str], call: Callable[[list[str]], int]) -> None:
    command = environ.get("VISUAL", "").strip() or environ.get("EDITOR", "").strip() or "vi"
    try:
        code = call([*shlex.split(command), str(path)])
    except ValueError as error:
        raise ConfigError(f"The editor command {command!r} is not valid: {error}.", hint="Set EDITOR.") from None
    except OSError as error:
        raise ConfigError(f"The editor {command!r} cannot be run: {error.strerror}.", hint="Set EDITOR.") from None
    if code != 0:
        raise RefusedError(f"The editor ended with exit code {code}; nothing was changed.")


def _is_as_written(path: Path, text: str) -> bool:
    """Whether a file has the text that was written to it; also where it is gone."""
    try:
        return path.read_bytes() == text.encode()
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _texts(
    dlq_messages: Sequence[DlqMessage], before: Mapping[str, object], after: Mapping[str, object], path: Path
) -> dict[str, str]:
    """The event texts to send, each checked where it was changed."""
    if unknown := after.keys() - before.keys():
        raise UsageError(
            f"{', '.join(sorted(unknown))} is not among the edited messages; nothing was changed.",
            hint=f"Do not change message ids. Your edits are in {path}.",
        )
    texts: dict[str, str] = {}
    for dlq_message in dlq_messages:
        message_id = dlq_message.message_id
        if message_id not in after:
            continue
        if _same(after[message_id], before[message_id]):
            texts[message_id] = dlq_message.event
            continue
        value = after[message_id]
        texts[message_id] = value if isinstance(value, str) else json_values.dumps(value)
        _check(texts[message_id], dlq_message, path)
    return texts


def _value(dlq_message: DlqMessage) -> object:
    """The event as JSON; its text where it is not JSON, has a name twice, or is nested too deeply to be written."""
    try:
        value: object = json_values.loads(dlq_message.event, unique=True)
    except ValueError:
        return dlq_message.event
    return value


def _same(one: object, other: object) -> bool:
    """Whether two values are the same JSON: 1 and true are not, and the order of members says nothing."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _write(text: str) -> Path:
    try:
        handle, name = tempfile.mkstemp(prefix="rtp-redrive-", suffix=".json")  # readable by its owner alone
    except OSError as error:
        raise _unwritten(error) from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        Path(name).unlink()
        raise _unwritten(error) from None
    return Path(name)


def _unwritten(error: OSError) -> ConfigError:
    return ConfigError(
        f"No file can be written for the editor: {error.strerror}; nothing was changed.",
        hint="Set TMPDIR to a folder with space that you can write.",
    )


def _read(path: Path) -> dict[str, object]:
    hint = f"Your edits are in {path}."
    try:
        value = json_values.loads(private.read_bytes(path, _MOST_BYTES).decode(), unique=True)
    except OSError as error:
        raise RefusedError(f"The edited file cannot be read: {error.strerror}; nothing was changed.") from None
    except UnicodeDecodeError as error:
        raise UsageError(
            f"The edited file is not UTF-8 text (byte {error.start}); nothing was changed.",
            hint=f"Let the editor save it as UTF-8. {hint}",
        ) from None
    except ValueError as error:
        raise UsageError(
            f"The edited file is not JSON that can be sent: {error}; nothing was changed.", hint=hint
        ) from None
    if not isinstance(value, dict):
        raise UsageError(
            "The edited file is not a JSON object of events by message id; nothing was changed.", hint=hint
        )
    return value


def _check(text: str, dlq_message: DlqMessage, path: Path) -> None:
    hint = f"Your edits are in {path}."
    try:
        event = parse(text, dlq_message.fallback)
    except InvalidEventError as error:
        raise UsageError(
            f"The edited {dlq_message.id} is not an event: {error}; nothing was changed.", hint=hint
        ) from None
    if dlq_message.id and event.identity != dlq_message.identity:
        raise UsageError(
            f"The edited {dlq_message.id} would be another event, {event.id} of {event.timestamp}; "
            "nothing was changed.",
            hint=f"Do not change id and timestamp. {hint}",
        )
    if len(wire.message_body(text).encode()) > wire.MAX_BODY_BYTES:
        raise UsageError(
            f"The edited {dlq_message.id} is larger than {wire.MAX_BODY_BYTES:,} bytes; nothing was changed.",
            hint=hint,
        )
