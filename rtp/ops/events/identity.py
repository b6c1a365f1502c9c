"""Make the ids of events, and of their traces."""

from __future__ import annotations

import secrets

from rtp.text.times import now_ms


def uuid7(ms: int | None = None) -> str:
    """Make a UUIDv7. Such an id contains its timestamp, so an event that has one needs no `timestamp` field."""
    created_ms = now_ms() if ms is None else ms
    value = created_ms << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 7 << 76  # version
    value = value & ~(0x3 << 62) | 2 << 62  # variant
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def trace_id(ms: int | None = None) -> str:
    """Make an X-Ray trace id."""
    created_ms = now_ms() if ms is None else ms
    return f"1-{created_ms // 1000:08x}-{secrets.token_hex(12)}"


def trace_header(trace: str, *, sampled: bool = False) -> str:
    """The X-Amzn-Trace-Id header that starts a trace under this id. Without `sampled` the receiver decides on it."""
    return f"Root={trace};Sampled=1" if sampled else f"Root={trace}"
