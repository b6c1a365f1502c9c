"""The X-Amzn-Trace-Id header, and the trace of the current request."""

from __future__ import annotations

import re
import secrets
import time
from contextvars import ContextVar
from dataclasses import dataclass

NAME = "x-amzn-trace-id"
_ROOT = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{24}")
_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class TraceHeader:
    """root: the trace. parent: the calling segment. sampled: whether it is recorded; None leaves it to the callee."""

    root: str
    parent: str | None = None
    sampled: bool | None = None

    def __str__(self) -> str:
        """The value of the header."""
        parts = [f"Root={self.root}"]
        if self.parent:
            parts.append(f"Parent={self.parent}")
        if self.sampled is not None:
            parts.append(f"Sampled={int(self.sampled)}")
        return ";".join(parts)

    @property
    def recorded(self) -> bool:
        """Whether segments are written: always, unless the caller has decided otherwise."""
        return self.sampled is not False

    def child(self, parent: str) -> TraceHeader:
        """The header that a service sends: the same trace, its own segment as the parent, and a decision."""
        return TraceHeader(self.root, parent, self.recorded)


def parse(text: str | None) -> TraceHeader | None:
    """Parse a header; None if there is none, or if it has no trace."""
    fields = dict(part.strip().partition("=")[::2] for part in (text or "").split(";"))
    root = fields.get("Root", "").lower()
    if not _ROOT.fullmatch(root):
        return None
    parent = fields.get("Parent", "").lower()
    sampled = {"1": True, "0": False}.get(fields.get("Sampled", ""))
    return TraceHeader(root, parent if _ID.fullmatch(parent) else None, sampled)


def new() -> TraceHeader:
    """The header of a new trace."""
    return TraceHeader(f"1-{int(time.time()):08x}-{secrets.token_hex(12)}", None, True)


def new_id() -> str:
    """A segment's id."""
    return secrets.token_hex(8)


current: ContextVar[TraceHeader | None] = ContextVar("rtp_trace", default=None)
"""The header of the request or invocation that is being served; background threads inherit it."""
