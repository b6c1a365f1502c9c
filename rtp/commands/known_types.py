"""A warning for a `--type` that no processor of this folder has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.config import reading
from rtp.errors import RtpError
from rtp.ops.stack.build import processors

if TYPE_CHECKING:
    from rtp.commands.session import Session


def warn_unknown(session: Session, kind: str | None) -> None:
    """Warn where no processor has the type, with the nearest one that has. Says nothing where that is not known."""
    if kind is None:
        return
    try:
        types = processors.declared_types(session.environment)
    except (RtpError, OSError):
        return  # the code in this folder is not what the command needs
    path = session.environment.processors
    if path is None or not types or kind in types:
        return
    nearest = reading.nearest(kind, sorted(types))
    what = f"There is no processor for {kind!r} in {path.name}, so its events are stored unchanged."
    session.out.warn(f"{what}{nearest}")
