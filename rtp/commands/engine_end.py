"""What a command says when the embedded engine, with which it works, ends before it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.errors import NotFoundError, RtpError

if TYPE_CHECKING:
    from rtp.config import Environment


def restored_ms(environment: Environment) -> int:
    """Return when the embedded engine's data last went back to an earlier save, epoch ms; 0 for never, as on AWS."""
    from rtp.local import engine

    return engine.restored_ms(environment.root) if environment.embedded else 0


def ended(environment: Environment) -> RtpError | None:
    """Return the error that names the engine's end and what its data lacks; None while the engine runs.

    Only after a request to the engine has failed: a stopped engine is no error by itself.
    """
    from rtp.local import engine

    if not environment.embedded:
        return None
    try:
        engine.require(environment.root)
    except NotFoundError as error:
        return RtpError(f"The command did not finish. {error.message}", hint=error.hint, code=error.code)
    except RtpError:  # its folder is not accessible; the failed connection says more
        return None
    return None
