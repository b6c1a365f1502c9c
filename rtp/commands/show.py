"""rtp show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtp.commands import interrupts
from rtp.commands.options import new_app, with_session
from rtp.commands.render import story as render_story
from rtp.commands.render import story_page as render_story_page
from rtp.commands.session import Session
from rtp.ops import files
from rtp.ops.telemetry import story as op
from rtp.text.elements import dim, line, name

app = new_app()


@app.command()
@with_session
def show(
    session: Session,
    *,
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The event's id.")],
    html: Annotated[Path | None, typer.Option("--html", help="Write it as a page of its own to this file.")] = None,
) -> None:
    """Tell the whole story of one event: record, attempts, log lines, trace, and where it is now."""
    if html is not None:
        files.check(html)
    out, stack = session.out, session.environment.names.stack
    with interrupts.graceful() as interruption:
        story = op.read(session.aws, session.outputs_to_read, stack, event_id, stop=interruption.stop)
    if html is not None:
        files.write(html, render_story_page.page(story), private=True)
    if out.json:
        out.document(story.document())
    else:
        out.show(render_story.story(story, width=out.width, block=out.glyph("█", "="), stack=stack))
    if html is not None:
        out.say(line(dim("page "), name(str(html))))
    if interruption:
        raise typer.Exit(interruption.exit_code)
