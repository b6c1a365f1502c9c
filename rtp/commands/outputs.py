"""rtp outputs."""

from __future__ import annotations

from typing import Annotated

import typer

from rtp.commands.options import new_app, with_session
from rtp.commands.session import Session
from rtp.text.elements import Element, Fields

app = new_app()


@app.command()
@with_session
def outputs(
    session: Session,
    *,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="Also show the API key's value.")] = False,
) -> None:
    """Show the stack's outputs.

    The API key's value is not an output; --show-secrets reads it.
    """
    from rtp.aws import api

    # Whoever has the key can send events, so reading it is refused where sending is.
    outputs = session.outputs if show_secrets else session.outputs_to_read
    shown = api.reachable(outputs, session.aws)
    if show_secrets:
        shown["ApiKey"] = api.key(session.aws, shown).value
    session.out.result(shown, _render)


def _render(outputs: dict[str, str]) -> list[Element]:
    return [Fields(list(outputs.items()))]
