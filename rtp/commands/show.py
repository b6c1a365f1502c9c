"""rtp show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtp.commands import interrupts, showlook, showpage
from rtp.commands.options import new_app, with_session
from rtp.commands.session import Session
from rtp.errors import UsageError
from rtp.ops.events import story as op
from rtp.view import dim, line, name

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
    out, stack = session.out, session.environment.names.stack
    with interrupts.gently() as broken:
        story = op.tell(session.aws, session.outputs, stack, event_id, stop=broken.stop)
    if html is not None:
        _write(html, showpage.page(story))
    if out.json:
        out.document(story.document())
    else:
        out.show(showlook.story(story, width=out.width, block=out.glyph("█", "="), stack=stack))
    if html is not None:
        out.say(line(dim("page "), name(str(html))))
    if broken:
        raise typer.Exit(broken.exit_code)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}.", hint="Give --html another file.") from None
