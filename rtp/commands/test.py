"""rtp test."""

from __future__ import annotations

from typing import Annotated

import typer

from rtp.commands.options import new_app, with_session
from rtp.commands.session import Session
from rtp.errors import ExitCode

app = new_app()

_CODES = {"passed": ExitCode.OK, "none": ExitCode.NOT_FOUND, "interrupted": ExitCode.INTERRUPTED}


@app.command(context_settings={"ignore_unknown_options": True})
@with_session
def test(
    session: Session,
    *,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[PYTEST-ARGUMENT]...", help="Arguments of pytest, such as -k price.")
    ] = None,
) -> None:
    """Run the project's tests by pytest.

    The processors are loaded, so that rtp.runtime.testing finds them, the functions' variables are set, and no AWS
    account is in reach. The interpreter is the project's own (.venv, or the active one) where that has pytest and rtp,
    else rtp's.
    """
    from rtp.ops import project_tests

    tested = project_tests.run(session.environment, arguments or [], quiet_stdout=session.out.json)
    if session.out.json:
        session.out.document(tested)
    raise typer.Exit(_CODES.get(tested.status, ExitCode.FAILED))
