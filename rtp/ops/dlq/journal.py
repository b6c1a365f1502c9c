"""Write-ahead log of redrive and purge.

Every message is recorded before it is removed, so that `dlq undo` can restore it and a killed run is recognised.
A journal is `.rtp/dlq/ENV/RUN.jsonl`, readable by its owner alone: a head, then a line per step of each message.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rtp.aws.queues import Outgoing
from rtp.errors import ConfigError, NotFoundError
from rtp.runtime.event import Identity
from rtp.text import json_values, times

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.dlq.target import Target


@dataclass(slots=True)
class Entry:
    """A message of a run: what is needed to send it again unchanged, and which steps were recorded for it.

    sent_id: id of the message that a redrive sent to the queue.
    """

    message_id: str
    identity: Identity
    outgoing: Outgoing
    sent_id: str = ""
    deleted: bool = False
    restored: bool = False


@dataclass(slots=True)
class Journal:
    """A recorded run. what: `redrive` or `purge`; entries: by message id."""

    run: str
    what: str
    stack: str
    account: str
    path: Path
    entries: dict[str, Entry] = field(default_factory=dict)


class Writer:
    """Appends the steps of a new run, from any number of threads. The file is created with the first message.

    sync: flush each step to the disk itself, for a run that deletes the only copy.
    """

    def __init__(self, target: Target, what: str, *, sync: bool = False) -> None:
        self.run = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{what}-{secrets.token_hex(3)}"
        self.path = target.journals / f"{self.run}.jsonl"
        self._sync = sync
        self._lock = threading.Lock()
        self._head = {
            "step": "head",
            "what": what,
            "stack": target.stack,
            "account": target.account,
            "started": times.now_ms(),
        }
        self._file: Any = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def taken(self, dlq_messages: Iterable[DlqMessage]) -> None:
        """Record messages before they are moved or deleted. Raises ConfigError where the file cannot be created."""
        self._write(
            {
                "step": "took",
                "message_id": dlq_message.message_id,
                "id": dlq_message.id,
                "timestamp": dlq_message.identity.timestamp,
                "type": dlq_message.type,
                "body": dlq_message.body,
                "attributes": {name: _to_text(value) for name, value in dlq_message.message.attributes.items()},
                "trace_header": dlq_message.message.trace_header,
            }
            for dlq_message in dlq_messages
        )

    def sent(self, ids: dict[str, str]) -> None:
        """Record that messages were sent to the queue: DLQ message id -> id of the new message."""
        self._write({"step": "sent", "message_id": old, "sent_id": new} for old, new in ids.items())

    def deleted(self, message_ids: Iterable[str]) -> None:
        """Record that messages were deleted from the DLQ."""
        self._write({"step": "deleted", "message_id": message_id} for message_id in message_ids)

    def _write(self, lines: Iterable[dict[str, Any]]) -> None:
        text = "".join(json_values.dumps(line) + "\n" for line in lines)
        if not text:
            return
        with self._lock:
            if self._file is None:
                self._file = _create(self.path)
                text = json_values.dumps(self._head) + "\n" + text
            self._file.write(text.encode("utf-8", "backslashreplace"))
            self._file.flush()
            if self._sync:
                os.fsync(self._file.fileno())


def folder(state: Path, env: str) -> Path:
    """The folder of an environment's journals."""
    return state / "dlq" / env


def load(place: Path, run: str | None) -> Journal:
    """Read the journal of a run by its name, or the latest one. Raises NotFoundError."""
    files = sorted(place.glob("*.jsonl")) if place.is_dir() else []
    if run is not None:
        files = [file for file in files if file.stem == run]
    if not files:
        what = f"There is no run {run}" if run else "There is no redrive or purge to undo"
        raise NotFoundError(f"{what} in {place}.", hint="Journals stay on the machine on which the command ran.")
    return _read(files[-1])


def _read(path: Path) -> Journal:
    """Read a journal from its file; a last line that a kill cut off is skipped. Raises NotFoundError."""
    lines = list(_lines(path))
    if not lines or lines[0].get("step") != "head":
        raise NotFoundError(f"{path} is not the journal of a run.", hint="Name another run with --run.")
    head = lines[0]
    journal = Journal(path.stem, head["what"], head["stack"], head["account"], path)
    for line in lines[1:]:
        step, message_id = line.get("step"), str(line.get("message_id"))
        if step == "took":
            attributes = {name: _from_text(value) for name, value in line["attributes"].items()}
            outgoing = Outgoing(line["body"], attributes, line["trace_header"])
            identity = Identity(line["id"], int(line["timestamp"]))
            journal.entries[message_id] = Entry(message_id, identity, outgoing)
        elif message_id in journal.entries:
            entry = journal.entries[message_id]
            entry.sent_id = line.get("sent_id", entry.sent_id)
            entry.deleted = entry.deleted or step == "deleted"
            entry.restored = entry.restored or step == "restored"
    return journal


def restored(journal: Journal, message_ids: Iterable[str]) -> None:
    """Record that messages of a run were restored to the DLQ, so that no undo restores them a second time."""
    with journal.path.open("ab") as file:
        for message_id in message_ids:
            journal.entries[message_id].restored = True
            # It begins with a line break because a kill may have cut off the line before.
            file.write(("\n" + json_values.dumps({"step": "restored", "message_id": message_id}) + "\n").encode())


def _create(path: Path) -> Any:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600), "wb")
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written ({error.strerror}); nothing was changed.",
            hint="Give yourself write access: messages are recorded there before they leave the DLQ.",
        ) from None


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    for line in path.read_bytes().split(b"\n"):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def _to_text(value: dict[str, Any]) -> dict[str, Any]:
    binary = value.get("BinaryValue")
    return value | {"BinaryValue": base64.b64encode(binary).decode()} if isinstance(binary, bytes) else value


def _from_text(value: dict[str, Any]) -> dict[str, Any]:
    binary = value.get("BinaryValue")
    return value | {"BinaryValue": base64.b64decode(binary)} if isinstance(binary, str) else value
