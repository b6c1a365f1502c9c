"""rtp deploy."""

from __future__ import annotations

from rtp.commands.options import Yes, new_app, with_session
from rtp.commands.session import Session
from rtp.ops import deploy as op
from rtp.view import Fields, Line, Style, Text, View, bad, dim, good, line, name

app = new_app()


@app.command()
@with_session
def deploy(session: Session, *, yes: Yes = False) -> None:
    """Deploy the pipeline: synthesise, publish, apply, with live progress."""
    out = session.out
    work = op.Deploy(session.environment, session.start, lambda _changes: None)
    for step in work.steps():
        match step:
            case op.Phase():
                if not out.json:
                    out.say(dim(f"{step.name} …"))
            case op.Warning():
                out.event("warning", step, lambda w: [line(Text("warning: ", Style.WARN), w.message)])
            case op.Changes():
                out.event("changeset", step, lambda _: None)
            case op.Event():
                if out.json:
                    out.event("event", step, lambda e: [render_event(e)])
                else:
                    out.say(render_event(step))
            case op.Outputs():
                out.event("outputs", step, lambda o: [Fields([(k, v) for k, v in o.outputs.items()])])
            case op.Result():
                out.event("result", step, _result)


def render_event(event: op.Event) -> Line:
    style = Style.BAD if "FAILED" in event.status else Style.GOOD if "COMPLETE" in event.status else Style.DIM
    return line(
        dim(f"{event.done:>3}/{event.total}"),
        " ",
        Text(f"{event.status:<20}", style),
        " ",
        name(event.path or event.logical_id),
        dim(f" {event.reason}" if event.reason else ""),
    )


def _result(result: op.Result) -> list[View]:
    word = bad(result.status) if result.status == "failed" else good(result.status)
    return [line(word, " ", name(result.stack), dim(f" in {result.elapsed_s:.1f} s"))]
