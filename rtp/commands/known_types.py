"""A warning for a `--type` that no processor of this folder has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.errors import RtpError

if TYPE_CHECKING:
    from rtp.commands.session import Session


def warn_unknown(session: Session, kind: str | None) -> None:
    """Warn where no processor has the type, with the nearest one that has. Says nothing where that is not known."""
    _warn(session, kind, ", so its events are stored unchanged")


def warn_nothing_found(session: Session, *kinds: str | None) -> None:
    """Warn, where a filter by types found nothing, of those that no processor has: they may be mistyped."""
    for kind in kinds:
        _warn(session, kind, "")


def _warn(session: Session, kind: str | None, effect: str) -> None:
    if kind is None:
        return
    from rtp.config import reading
    from rtp.ops.stack.build import processors

    try:
        types = processors.declared_types(session.environment)
    except (RtpError, OSError):
        return  # the code in this folder is not what the command needs
    path = session.environment.processors
    if path is None or not types or kind in types:
        return
    nearest = reading.nearest(kind, sorted(types))
    session.out.warn(f"There is no processor for {kind!r} in {path.name}{effect}.{nearest}")
