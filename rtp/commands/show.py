"""rtp show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtp.commands import completion, ids, interrupts, page
from rtp.commands.operation import exit_if, remark
from rtp.commands.options import new_app, with_session
from rtp.commands.page import Html
from rtp.commands.session import Session
from rtp.text.elements import dim, line, name

app = new_app()


@app.command()
@with_session
def show(
    session: Session,
    *,
    event_id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="The event's id, or a beginning or end of it that only one event has.",
            autocompletion=completion.event_ids,
        ),
    ],
    html: Html = None,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export",
            metavar="FILE.zip",
            help="Also write record, attempts, log lines, trace, payloads and archived text to a zip file, redacted.",
        ),
    ] = None,
) -> None:
    """Show all that is known of one event: record, attempts, log lines, trace, and its DLQ message."""
    from rtp.commands.render import story as render_story
    from rtp.commands.render import story_page as render_story_page
    from rtp.ops import files
    from rtp.ops.telemetry import export as exporting
    from rtp.ops.telemetry import story as op

    page.check(html)
    if export is not None:
        files.check(export)
    out, stack = session.out, session.environment.names.stack
    event_id = ids.event_id(session, event_id)
    with interrupts.graceful(remark(session.out)) as interruption:
        story = op.read(
            session.aws,
            session.outputs_to_read,
            stack,
            event_id,
            stop=interruption.stop,
            with_raw=export is not None,
        )
    ids.remember(session, story.records[-1:])
    with page.written(out, html, lambda: render_story_page.page(story)):
        if out.json:
            out.document(story.document())
        else:
            out.show(render_story.story(story, width=out.width, block=out.glyph("█", "="), stack=stack))
    if export is not None:
        files.write(export, exporting.archive(story), private=True)
        out.say(line(dim("written "), name(str(export)), dim("; read it before you pass it on")))
    exit_if(interruption)
