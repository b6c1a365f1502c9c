"""The journals of a command that moves events: in rtp's own bucket, or on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.aws import journal_objects
from rtp.contract import Output
from rtp.ops.journal_store import JournalFiles
from rtp.ops.shared_journals import JournalObjects, SharedJournals

if TYPE_CHECKING:
    from rtp.commands.session import Session


def store(session: Session, kind: str) -> SharedJournals:
    """The journals of a kind, `dlq` or `replay`, of the session's stack."""
    environment, key_arn = session.environment, session.outputs[Output.KEY_ARN]
    base = journal_objects.prefix(environment.project, environment.name, key_arn, kind)
    local = JournalFiles(environment.state / kind / environment.name)
    return SharedJournals(JournalObjects(session.aws, base, key_arn), local, session.out.warn)
