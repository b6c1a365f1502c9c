"""A warning for a `--type` that no processor of this folder has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.config import reading
from rtp.errors import RtpError
from rtp.infra import declared
from rtp.ops.stack.build import processors

if TYPE_CHECKING:
    from rtp.commands.session import Session


def warn_unknown(session: Session, kind: str | None) -> None:
    """Warn where no processor has the type, with the nearest one that has. Says nothing where that is not known."""
    if kind is None:
        return
    try:
        sources = processors.sources_of(session.environment)
        types = None if sources is None else declared.types(sources)
    except (RtpError, OSError):
        return  # the code in this folder is not what the command needs
    if sources is None or not types or kind in types:
        return
    nearest = reading.nearest(kind, sorted(types))
    what = f"There is no processor for {kind!r} in {sources.path.name}, so its events are stored unchanged."
    session.out.warn(f"{what}{nearest}")
