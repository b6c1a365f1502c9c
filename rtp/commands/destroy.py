"""rtp destroy."""

from __future__ import annotations

from rtp.commands.options import Yes, new_app, with_session
from rtp.commands.progress import Progress
from rtp.commands.session import Session
from rtp.ops import destroy as op

app = new_app()


@app.command()
@with_session
def destroy(session: Session, *, yes: Yes = False) -> None:
    """Delete the pipeline and prove what is gone."""
    out = session.out
    aws = session.aws
    out.confirm(f"Delete {session.environment.names.stack}?", yes=yes)
    progress = Progress(out, session.environment.names.stack)
    with progress.running():
        for step in op.Destroy(session.environment, aws).steps():
            progress.tell(step)
