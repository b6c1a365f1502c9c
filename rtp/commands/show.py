"""rtp show."""

from __future__ import annotations

from typing import Annotated

import typer

from rtp.commands import interrupts, showlook
from rtp.commands.options import new_app, with_session
from rtp.commands.session import Session
from rtp.ops import story as op

app = new_app()


@app.command()
@with_session
def show(
    session: Session,
    *,
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event's id.")],
) -> None:
    """Tell the whole story of one event: record, attempts, log lines, trace, and where it is now."""
    out, stack = session.out, session.environment.names.stack
    with interrupts.gently() as broken:
        story = op.tell(session.aws, session.outputs, stack, event_id, stop=broken.stop)
    if out.json:
        out.document(story.document())
    else:
        out.show(showlook.story(story, width=out.width, block=out.glyph("█", "="), stack=stack))
    if broken:
        raise typer.Exit(broken.exit_code)
