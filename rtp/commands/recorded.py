"""The block of a command that changes an environment, which the history records."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtp.errors import ExitCode, RefusedError, RtpError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.commands.session import Session
    from rtp.ops.history_run import Run

Reason = Annotated[
    str | None, typer.Option("--reason", "-m", metavar="TEXT", help="Why, for `rtp history`; others can read it.")
]

_OUTCOMES: dict[int, str] = {ExitCode.OK: "succeeded", ExitCode.INTERRUPTED: "interrupted"}


@contextmanager
def recorded(
    session: Session, command: str, *given: Any, reason: str | None = None, later: bool = False
) -> Iterator[Run]:
    """Record what the block does, and how it ends. Writing an entry fails no command.

    given: option groups and dicts, without secrets. later: the block itself calls `begin`, once AWS is known.
    """
    from rtp.ops import history_run

    run = history_run.Run(session.environment, command, history_run.arguments(*given), reason)
    if not later:
        run.begin(session.aws)
    outcome, error_code = "succeeded", ""
    code: int = ExitCode.OK
    try:
        yield run
    except typer.Exit as end:
        code = end.exit_code
        outcome = _OUTCOMES.get(code, "failed")
        raise
    except RtpError as error:
        outcome = "refused" if isinstance(error, RefusedError) else "failed"
        code, error_code = error.exit_code, error.code
        raise
    except Exception as error:
        is_abort = isinstance(error, typer.Abort)
        outcome, code = ("interrupted", ExitCode.INTERRUPTED) if is_abort else ("failed", ExitCode.FAILED)
        raise
    except BaseException:  # Ctrl-C, SIGTERM
        outcome, code = "interrupted", ExitCode.INTERRUPTED
        raise
    finally:
        warning = run.end(outcome, int(code), error_code)
        if warning:
            session.out.warn(warning)
