"""rtp destroy."""

from __future__ import annotations

import typer

from rtp.commands.deploy import render_event
from rtp.commands.options import Yes, new_app, with_session
from rtp.commands.session import Session
from rtp.ops import destroy as op
from rtp.ops.deploy import Event, Phase
from rtp.view import View, dim, good, line, name

app = new_app()


@app.command()
@with_session
def destroy(session: Session, *, yes: Yes = False) -> None:
    """Delete the pipeline and prove what is gone."""
    out = session.out
    aws = session.aws
    out.confirm(f"Delete {session.environment.names.stack}?", yes=yes)
    for step in op.Destroy(session.environment, aws).steps():
        match step:
            case Phase():
                if not out.json:
                    out.say(dim(f"{step.name} …"))
            case Event():
                if out.json:
                    out.event("event", step, lambda e: [render_event(e)])
                else:
                    out.say(render_event(step))
            case op.Result():
                out.event("result", step, _result)


def _result(result: op.Result) -> list[View]:
    return [line(good(result.status), " ", name(result.stack), dim(f" in {result.elapsed_s:.1f} s"))]
