"""Edit events in the operator's editor before they are redriven."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.errors import ConfigError, RefusedError, UsageError
from rtp.runtime import wire
from rtp.runtime.event import InvalidEventError, parse
from rtp.text import json_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rtp.ops.dlq.messages import DlqMessage

MAX_MESSAGES = 200


def edited(
    dlq_messages: Sequence[DlqMessage],
    *,
    environ: Mapping[str, str] = os.environ,
    call: Callable[[list[str]], int] = subprocess.call,
) -> dict[str, str]:
    """Open the events in $VISUAL or $EDITOR. Returns message id -> event text to send.

    An event that was not touched keeps its text to the byte; one that was deleted from the file is left out.
    Raises UsageError for a text that is not an event; the file is then kept, and the hint names it.
    """
    if len(dlq_messages) > MAX_MESSAGES:
        raise UsageError(
            f"{len(dlq_messages)} messages are too many to edit in one file.",
            hint=f"Select at most {MAX_MESSAGES}, for example with --limit.",
        )
    before = {dlq_message.message_id: _value(dlq_message) for dlq_message in dlq_messages}
    path = _write(before)
    try:
        _run_editor(path, environ, call)
    except (ConfigError, RefusedError):
        path.unlink()
        raise
    after = _read(path)
    if after == before:
        path.unlink()
        raise RefusedError("No event was edited; nothing was changed.")
    texts = _texts(dlq_messages, before, after, path)
    path.unlink()
    return texts


def _run_editor(path: Path, environ: Mapping[str, str], call: Callable[[list[str]], int]) -> None:
    command = environ.get("VISUAL") or environ.get("EDITOR") or "vi"
    try:
        code = call([*shlex.split(command), str(path)])
    except ValueError as error:
        raise ConfigError(f"The editor command {command!r} is not valid: {error}.", hint="Set EDITOR.") from None
    except OSError as error:
        raise ConfigError(f"The editor {command!r} cannot be run: {error.strerror}.", hint="Set EDITOR.") from None
    if code != 0:
        raise RefusedError(f"The editor ended with exit code {code}; nothing was changed.")


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
        if after[message_id] == before[message_id]:
            texts[message_id] = dlq_message.event
            continue
        value = after[message_id]
        texts[message_id] = value if isinstance(value, str) else json_values.dumps(value)
        _check(texts[message_id], dlq_message, path)
    return texts


def _value(dlq_message: DlqMessage) -> object:
    """The event as JSON; its text where it is not JSON."""
    try:
        value: object = json_values.loads(dlq_message.event)
    except (ValueError, RecursionError):
        return dlq_message.event
    return value


def _write(events: Mapping[str, object]) -> Path:
    handle, name = tempfile.mkstemp(prefix="rtp-redrive-", suffix=".json")  # readable by its owner alone
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(json_values.dumps(events, indent=2) + "\n")
    return Path(name)


def _read(path: Path) -> dict[str, object]:
    try:
        value = json_values.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RefusedError(f"The edited file cannot be read: {error.strerror}; nothing was changed.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"The edited file is not JSON: {error}; nothing was changed.", hint=f"Your edits are in {path}."
        ) from None
    if not isinstance(value, dict):
        raise UsageError(
            "The edited file is not a JSON object of events by message id; nothing was changed.",
            hint=f"Your edits are in {path}.",
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
