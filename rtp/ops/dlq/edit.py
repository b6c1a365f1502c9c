"""Let the operator mend events in an editor before they go back."""

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

    from rtp.ops.dlq.messages import DeadLetter

MOST = 200


def edited(
    letters: Sequence[DeadLetter],
    *,
    environ: Mapping[str, str] = os.environ,
    call: Callable[[list[str]], int] = subprocess.call,
) -> dict[str, str]:
    """Message id -> the event to send: as it was where it was not touched; left out where it was deleted.

    Raises UsageError on what is not an event any more; the file then stays, and its name is in the hint.
    """
    if len(letters) > MOST:
        raise UsageError(f"{len(letters)} messages are too many for one file.", hint=f"At most {MOST}: use --limit.")
    command = environ.get("VISUAL") or environ.get("EDITOR") or "vi"
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"The editor {command!r} cannot be read: {error}.", hint="Set EDITOR.") from None
    before = {letter.message_id: _shown(letter) for letter in letters}
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
        letter.message_id: letter.event
        if after[letter.message_id] == before[letter.message_id]
        else _text(after, letter)
        for letter in letters
        if letter.message_id in after
    }
    for letter in letters:
        if bodies.get(letter.message_id, letter.event) != letter.event:
            _check(bodies[letter.message_id], letter, path)
    path.unlink()
    return bodies


def _shown(letter: DeadLetter) -> object:
    try:
        value: object = json_values.loads(letter.event)
    except (ValueError, RecursionError):
        return letter.event
    return value


def _text(after: Mapping[str, object], letter: DeadLetter) -> str:
    value = after[letter.message_id]
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


def _check(body: str, letter: DeadLetter, path: Path) -> None:
    try:
        made = parse(body, letter.fallback)
    except InvalidEventError as error:
        raise UsageError(
            f"{letter.id} as edited is not an event: {error}; nothing was changed.", hint=f"It is in {path}."
        ) from None
    if letter.id and made.identity != letter.identity:
        raise UsageError(
            f"{letter.id} as edited would be another event, {made.id} of {made.timestamp}; nothing was changed.",
            hint=f"Leave id and timestamp as they are; what was edited is in {path}.",
        )
    if len(body.encode()) > wire.MAX_BODY_BYTES:
        raise UsageError(
            f"{letter.id} as edited is larger than {wire.MAX_BODY_BYTES:,} bytes.", hint=f"It is in {path}."
        )
