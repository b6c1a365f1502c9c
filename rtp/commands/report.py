"""rtp report."""

from __future__ import annotations

from rtp.commands import journals, page
from rtp.commands.options import Since, Until, new_app, with_session
from rtp.commands.page import Html
from rtp.commands.session import Session
from rtp.text import times

app = new_app()


@app.command()
@with_session
def report(session: Session, *, since: Since = "24h", until: Until = None, html: Html = None) -> None:
    """Report an incident in order of time, for the post-mortem: alarms, releases, failures, repairs, proof.

    Without payloads. Markdown in a pipe or a file: `rtp report --since 02:50 > incident.md`.
    """
    from rtp.commands.render import incident as render
    from rtp.commands.render import incident_page
    from rtp.ops.triage import incident

    page.check(html)
    now = times.now_ms()
    begin = times.parse_when(since or "24h", now=now, option="--since")
    end = times.parse_when(until, now=now, option="--until") if until else now
    if begin >= end:
        raise times.backwards(begin, end)
    outputs = session.outputs_to_read
    found = incident.read(
        session.guarded, session.environment, outputs, journals.stores(session), since=begin, until=end, now=now
    )
    with page.written(session.out, html, lambda: incident_page.page(found)):
        if session.out.json:
            session.out.document(found)
        else:
            session.out.page(render.markdown(found))
