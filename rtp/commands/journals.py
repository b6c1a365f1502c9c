"""The journals of a command that moves events: in rtp's own bucket, or on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.commands import engine_end

if TYPE_CHECKING:
    from rtp.commands.session import Session
    from rtp.ops.dlq.runs import Stores
    from rtp.ops.dlq.target import Target
    from rtp.ops.run_marks import Operator
    from rtp.ops.shared_journals import SharedJournals


def operator(session: Session) -> Operator:
    """Who acts, for journals and for other machines."""
    from rtp.ops.run_marks import Operator

    return Operator("" if session.environment.local else session.aws.identity)


def target(session: Session) -> Target:
    """Where the session's DLQ operations act."""
    from rtp.ops.access import guard
    from rtp.ops.dlq.target import Target

    aws, outputs, environment = session.aws, session.outputs, session.environment
    return Target(
        aws=aws,
        outputs=outputs,
        stack=environment.names.stack,
        account=guard.account(aws, environment),
        journals=store(session, "dlq"),
        restored_ms=engine_end.restored_ms(environment),
        who=operator(session),
        warn=session.out.warn,
    )


def stores(session: Session) -> Stores:
    """The journals of the session's stack."""
    from rtp.ops.dlq.runs import Stores

    return Stores(store(session, "dlq"), store(session, "replay"))


def store(session: Session, kind: str) -> SharedJournals:
    """The journals of a kind, `dlq` or `replay`, of the session's stack."""
    from rtp.aws import journal_objects
    from rtp.contract import Output
    from rtp.ops.journal_store import JournalFiles
    from rtp.ops.shared_journals import JournalObjects, SharedJournals

    environment, key_arn = session.environment, session.outputs[Output.KEY_ARN]
    base = journal_objects.prefix(environment.project, environment.name, key_arn, kind)
    local = JournalFiles(environment.state / kind / environment.name)
    return SharedJournals(JournalObjects(session.aws, base, key_arn), local, session.out.warn)
