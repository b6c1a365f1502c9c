"""What a redrive or purge asks: how many messages of what it would take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.commands import interrupts
from rtp.commands.operation import remark
from rtp.text.elements import bad, dim, line, many

if TYPE_CHECKING:
    from rtp.commands.dlq_options import Selection
    from rtp.commands.session import Session
    from rtp.ops.dlq.filters import Filters
    from rtp.ops.dlq.inspect import Inspection

_COUNTED = 1_000  # messages that are read for a question
_KINDS = 5


def described(session: Session, selection: Selection) -> str:
    """The selected messages by SQS's count of the queue, for a question that nobody sees."""
    from rtp.ops.dlq import inspect

    count = inspect.depth(session.aws, session.outputs)
    return f"all DLQ messages (about {count:,})" if selection.every else f"selected DLQ messages (of about {count:,})"


def counted(session: Session, filters: Filters, limit: int | None) -> Inspection:
    """The messages that would be taken, at most _COUNTED of them."""
    from rtp.commands.render import dlq as render_dlq
    from rtp.ops.dlq import inspect

    with interrupts.graceful(remark(session.out)) as interruption, session.out.live() as live:
        inspection = inspect.inspect(
            session.aws,
            session.outputs,
            filters,
            limit=min(limit or _COUNTED, _COUNTED),
            stop=interruption.stop,
            notify=lambda n: live.update(render_dlq.read(n)),
        )
    if interruption:  # nothing was asked yet
        raise KeyboardInterrupt
    return inspection


def show(session: Session, inspection: Inspection, limit: int | None) -> str:
    """Show what the messages are. Returns how many, for the question."""
    from rtp.ops import causes

    messages = inspection.messages
    kinds = causes.grouped(messages, lambda message: message.group)
    for group, same in kinds[:_KINDS]:
        kind, error = group.kind or "no type", same[-1].error.signature
        session.out.say(line(bad(f"{len(same):,} × "), kind, dim(f"  {error}"), indent=2))
    if len(kinds) > _KINDS:
        session.out.say(line(dim(f"and {len(kinds) - _KINDS} more kinds"), indent=2))
    is_cut = len(messages) == _COUNTED and (limit is None or limit > _COUNTED)
    count = many(len(messages), "DLQ message")
    if is_cut:
        count = f"up to {limit:,} DLQ messages" if limit else f"at least {count}"
    is_part = is_cut or len(messages) != inspection.depth
    return f"{count} of about {inspection.depth:,}" if is_part else count
