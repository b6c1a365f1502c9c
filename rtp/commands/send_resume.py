"""The journal of `rtp send FILE`, the command that goes on with it, and the file of the events that failed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.commands import engine_end
from rtp.errors import UsageError
from rtp.text import suggest
from rtp.text.elements import Element, command, line, many, next_step, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.commands.event_source import EventSource
    from rtp.commands.session import Session
    from rtp.ops.events.send_journal import SendJournal
    from rtp.ops.events.sent import Sent, Via

_FAILED = ".failed.ndjson"


def journal(session: Session, source: EventSource, via: Via, count: int, *, resume: bool) -> SendJournal | None:
    """Begin the journal of a file's events, or load the one to go on with; None for one event, or without a file.

    Raises UsageError where there is no file to go on with, and NotFoundError without an interrupted send.
    """
    from rtp.contract import Output
    from rtp.ops.events import send_journal
    from rtp.ops.journal_store import JournalFiles

    path = Path(source.file) if source.file is not None and source.file != "-" else None
    if path is None or not path.is_file():
        if resume:
            raise UsageError("--resume goes on with the send of a file.", hint="Name the file.")
        return None
    if count == 1 and not resume:
        return None
    outputs, environment = session.outputs, session.environment
    account = outputs[Output.KEY_ARN].split(":")[4]
    sending = send_journal.Sending(send_journal.digest_of(path), count, via, environment.names.stack, account)
    store = JournalFiles(_folder(session))
    restored_ms = engine_end.restored_ms(environment) or 0
    if resume:
        return send_journal.resume(store, sending, restored_ms=restored_ms, warn=session.out.warn)
    if earlier := send_journal.interrupted(store, sending, restored_ms=restored_ms, warn=session.out.warn):
        fix = suggest.command("rtp", "send", values=[path], resume=True)
        unanswered = f"{earlier.left:,} of {many(count, 'event')} without an answer"
        session.out.warn(f"An earlier send of this file left {unanswered}; this one sends all of them as new events.")
        session.out.say(*next_step("to send the rest alone  ", fix))
    return send_journal.begin(store, sending)


def suggestion(source: EventSource, via: Via, count: int, left: int) -> list[Element]:
    """The command that sends what has no answer yet."""
    times = count if count > 1 else None
    again = suggest.command("rtp", "send", values=[Path(str(source.file))], via=via.value, count=times, resume=True)
    if again is None:
        return []
    return [line(warn(f"{many(left, 'event')} without an answer: "), command(again), " sends them, and nothing twice")]


def write_failures(session: Session, failed: Sequence[Sent]) -> Path:
    """Write the failed events as JSON lines, beside the journals; files of a month ago are deleted. Raises RtpError."""
    from rtp.ops import files
    from rtp.ops.journal_store import EXPIRY_DAYS
    from rtp.text import json_values
    from rtp.trust import project

    folder = _folder(session)
    project.below(folder)
    for old in folder.glob(f"*{_FAILED}"):
        if old.stat().st_mtime < time.time() - EXPIRY_DAYS * 86_400:
            old.unlink(missing_ok=True)
    file = folder / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}{_FAILED}"
    files.write(file, "".join(f"{json_values.dumps(sent.document())}\n" for sent in failed), private=True)
    return file


def _folder(session: Session) -> Path:
    return session.environment.state / "send" / session.environment.name
