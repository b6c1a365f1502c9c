"""Let the operator fix events in an editor before they go back."""

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

MOST = 200


def edited(
    dlq_messages: Sequence[DlqMessage],
    *,
    environ: Mapping[str, str] = os.environ,
    call: Callable[[list[str]], int] = subprocess.call,
) -> dict[str, str]:
    """Message id -> the event to send: as it was where it was not touched; left out where it was deleted.

    Raises UsageError on what is not an event any more; the file then stays, and its name is in the hint.
    """
    if len(dlq_messages) > MOST:
        raise UsageError(
            f"{len(dlq_messages)} messages are too many for one file.", hint=f"At most {MOST}: use --limit."
        )
    command = environ.get("VISUAL") or environ.get("EDITOR") or "vi"
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"The editor {command!r} cannot be read: {error}.", hint="Set EDITOR.") from None
    before = {dlq_message.message_id: _shown(dlq_message) for dlq_message in dlq_messages}
    path = _written(before)
    try:
        code = call([*argv, str(path)])
    except OSError as error:
        path.unlink()
        raise ConfigError(f"The editor {command!r} cannot be run: {error.strerror}.", hint="Set EDITOR.") from None
    if code != 0:
        path.unlink()
        raise RefusedError(f"The editor ended with {code}; nothing was changed.")
    after = _read(path)
    if after == before:
        path.unlink()
        raise RefusedError("Nothing was edited; nothing was changed.")
    if strangers := after.keys() - before.keys():
        raise UsageError(
            f"{', '.join(sorted(strangers))} is no message that was to be edited; nothing was changed.",
            hint=f"Leave the message ids as they are; what was edited is in {path}.",
        )
    bodies = {
        dlq_message.message_id: dlq_message.event
        if after[dlq_message.message_id] == before[dlq_message.message_id]
        else _text(after, dlq_message)
        for dlq_message in dlq_messages
        if dlq_message.message_id in after
    }
    for dlq_message in dlq_messages:
        if bodies.get(dlq_message.message_id, dlq_message.event) != dlq_message.event:
            _check(bodies[dlq_message.message_id], dlq_message, path)
    path.unlink()
    return bodies


def _shown(dlq_message: DlqMessage) -> object:
    try:
        value: object = json_values.loads(dlq_message.event)
    except (ValueError, RecursionError):
        return dlq_message.event
    return value


def _text(after: Mapping[str, object], dlq_message: DlqMessage) -> str:
    value = after[dlq_message.message_id]
    return value if isinstance(value, str) else json_values.dumps(value)


def _written(events: Mapping[str, object]) -> Path:
    handle, name = tempfile.mkstemp(prefix="rtp-redrive-", suffix=".json")  # readable by its owner alone
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(json_values.dumps(events, indent=2) + "\n")
    return Path(name)


def _read(path: Path) -> dict[str, object]:
    try:
        value = json_values.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RefusedError(f"What was edited cannot be read: {error.strerror}; nothing was changed.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"What was edited is not JSON: {error}; nothing was changed.", hint=f"It is in {path}."
        ) from None
    if not isinstance(value, dict):
        raise UsageError("What was edited is not an object of events by message id.", hint=f"It is in {path}.")
    return value


def _check(body: str, dlq_message: DlqMessage, path: Path) -> None:
    try:
        made = parse(body, dlq_message.fallback)
    except InvalidEventError as error:
        raise UsageError(
            f"{dlq_message.id} as edited is not an event: {error}; nothing was changed.", hint=f"It is in {path}."
        ) from None
    if dlq_message.id and made.identity != dlq_message.identity:
        raise UsageError(
            f"{dlq_message.id} as edited would be another event, {made.id} of {made.timestamp}; nothing was changed.",
            hint=f"Leave id and timestamp as they are; what was edited is in {path}.",
        )
    if len(wire.message_body(body).encode()) > wire.MAX_BODY_BYTES:
        raise UsageError(
            f"{dlq_message.id} as edited is larger than {wire.MAX_BODY_BYTES:,} bytes.", hint=f"It is in {path}."
        )
