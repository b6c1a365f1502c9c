"""`rtp dlq inspect` with --count or --by: messages are counted as they are read, and none is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rtp.commands import interrupts
from rtp.commands.operation import remark

if TYPE_CHECKING:
    from rtp.commands.interrupts import Interruption
    from rtp.commands.session import Session
    from rtp.ops.dlq.ending import Patience
    from rtp.ops.dlq.filters import Filters
    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.events.tally import Tally
    from rtp.text.queries import Expression


def counted(
    session: Session, filters: Filters, by: Expression | None, patience: Patience
) -> tuple[Tally, int, Interruption]:
    """How many messages match, how many could not be read, and whether it was interrupted."""
    from rtp.commands.render import dlq as render_dlq
    from rtp.ops.dlq import inspect
    from rtp.ops.dlq.filters import facts
    from rtp.ops.events.tally import Counting

    counting = Counting(by)

    def visit(selected: list[DlqMessage]) -> bool:
        counting.add(selected if by is None else map(facts, selected))
        return False

    with interrupts.graceful(remark(session.out)) as interruption, session.out.live() as live:
        scan = inspect.scan(
            session.aws,
            session.outputs,
            filters,
            visit,
            stop=interruption.stop,
            patience=replace(patience, notify=remark(session.out)),
            notify=lambda n: live.update(render_dlq.read(n)),
        )
    return counting.tally(), scan.unseen, interruption
