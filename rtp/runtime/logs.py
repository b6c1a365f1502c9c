"""One JSON object per line on stdout, which Lambda sends to CloudWatch. Of a payload, only size and hash are logged.

Fields: timestamp, level, event_id, event_type, request_id, trace_id, release, step, message, and those of the step.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import time
import traceback
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO

from rtp.runtime.errors import sanitised
from rtp.runtime.masking import masked

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_TEXT = 2_000
_MAX_STACK = 20  # frames
_threshold = logging.INFO
_release = ""  # of the code that writes the lines
_buffer: ContextVar[list[str] | None] = ContextVar("rtp_log_lines", default=None)
_current: ContextVar[dict[str, Any] | None] = ContextVar("rtp_log_fields", default=None)
_is_mid_line = False  # the last text that somebody else has printed does not end its line


def install(level: str, release: str = "") -> None:
    """Set the level, and give the root logger the same format, so that processors can use `logging`.

    release: of this code, which each line names.
    """
    set_level(level)
    set_release(release)
    watch_streams()
    root = logging.getLogger()
    root.handlers[:] = [_Handler()]
    root.setLevel(_threshold)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    logging.getLogger("aws_xray_sdk").setLevel(logging.WARNING)


def watch_streams() -> None:
    """Note whether what processors print ends its line, so that rtp's next line begins a new one.

    stdout and stderr are one log in Lambda.
    """
    if not isinstance(sys.stdout, _WatchedStream):
        sys.stdout = _WatchedStream(sys.stdout)
    if not isinstance(sys.stderr, _WatchedStream):
        sys.stderr = _WatchedStream(sys.stderr)


def set_level(level: str) -> None:
    """Set the lowest level of the pipeline's lines."""
    global _threshold
    _threshold = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)


def set_release(release: str) -> None:
    """Set the release that each line names."""
    global _release
    _release = release


def about(**fields: Any) -> None:
    """Add fields such as event_id to the lines that follow in this context (thread or task)."""
    _current.set({name: value for name, value in fields.items() if value})


def debug(step: str, message: str, **fields: Any) -> None:
    """Log a step that helps debugging."""
    if _threshold <= logging.DEBUG:
        write("DEBUG", step, message, fields)


def info(step: str, message: str, **fields: Any) -> None:
    """Log a step."""
    if _threshold <= logging.INFO:
        write("INFO", step, message, fields)


def warning(step: str, message: str, **fields: Any) -> None:
    """Log a failure that the pipeline handles."""
    if _threshold <= logging.WARNING:
        write("WARNING", step, message, fields)


def error(step: str, message: str, **fields: Any) -> None:
    """Log a failure that somebody has to investigate."""
    if _threshold <= logging.ERROR:
        write("ERROR", step, message, fields)


def fingerprint(text: str) -> dict[str, Any]:
    """Return size and hash of a payload, which is not logged itself."""
    data = text.encode("utf-8", "surrogatepass")
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()[:16]}


def stack(failure: BaseException) -> list[str]:
    """Return the frames of an exception, innermost last, without values."""
    frames = traceback.extract_tb(failure.__traceback__)[-_MAX_STACK:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def write(level: str, step: str, message: str, fields: dict[str, Any]) -> None:
    """Write one line."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    line: dict[str, Any] = {"timestamp": f"{stamp}.{int(now * 1000) % 1000:03d}Z", "level": level}
    if current := _current.get():
        line.update(current)
    line.update({name: value for name, value in fields.items() if value not in (None, "")})
    if _release:
        line["release"] = _release
    line["step"] = step
    line["message"] = masked(message)[:_MAX_TEXT]
    emit(line)


def emit(document: dict[str, Any]) -> None:
    """Write a JSON object as one line, in one call, so that lines of several threads do not mix."""
    line = json.dumps(document, separators=(",", ":"), default=str) + "\n"
    buffer = _buffer.get()
    if buffer is None:
        _put(line)
    else:
        buffer.append(line)


@contextmanager
def together() -> Iterator[None]:
    """Write the lines of this block in one call, so that their reader wakes once."""
    lines: list[str] = []
    token = _buffer.set(lines)
    try:
        yield
    finally:
        _buffer.reset(token)
        _put("".join(lines))


def _put(text: str) -> None:
    global _is_mid_line
    if text and _is_mid_line:
        text = f"\n{text}"
    stream = getattr(sys.stdout, "unmasked", sys.stdout)  # identifiers and metrics stay as they are
    stream.write(text)
    stream.flush()
    if text:
        _is_mid_line = False


class _WatchedStream:
    """A text stream that notes whether its last line is complete."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text."""
        global _is_mid_line
        if text:
            _is_mid_line = not text.endswith("\n")
        return self._stream.write(text)

    def writelines(self, lines: Any) -> None:
        """Write each text."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Handler(logging.Handler):
    """Writes the lines of processors and libraries in the same format."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            failure = record.exc_info[1]
            fields |= {"error_type": type(failure).__name__, "error": sanitised(str(failure)), "stack": stack(failure)}
        try:
            write(record.levelname, "log", record.getMessage(), fields)
        except Exception:
            self.handleError(record)
