"""All that is known of one event as a zip file, redacted, to attach to a ticket."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rtp.text import json_values, redaction
from rtp.text.sanitize import printable

if TYPE_CHECKING:
    from rtp.ops.telemetry.story import Story

_AT = (1980, 1, 1, 0, 0, 0)  # the same content is the same file
_README = """This is what rtp knows of the event {id}.

Redacted: values under names of secrets and persons, keys, tokens, e-mail addresses and passwords of addresses
are {mask}.
Other values are as they were stored: read the files before you pass them on.

record.json    the newest record
attempts.json  its attempts
logs.ndjson    log lines, oldest first
trace.json     the newest trace
data.json      the event's data
result.json    the processor's result
dlq.json       the event's message in the dead-letter queue
raw.json       its newest delivery as it was archived
older.json     older records and traces of the id
gaps.json      what could not be read, and why

A file is missing where there is nothing to write into it.
"""


def archive(story: Story) -> bytes:
    """The zip file of a story."""
    files = {"README.txt": _README.format(id=printable(redaction.text(story.id)), mask=redaction.MASK)}
    record = dict(story.record or {})
    data, result = record.pop("data", None), record.pop("result", None)
    older: dict[str, Any] = {"records": story.records[:-1], "traces": story.traces[:-1]}
    parts: dict[str, Any] = {
        "record.json": record,
        "attempts.json": story.attempts,
        "trace.json": story.trace,
        "data.json": data,
        "result.json": result,
        "dlq.json": None if story.dlq_message is None else _with_body(story.dlq_message, story.dlq_message.body),
        "raw.json": None if story.raw is None else _with_body(story.raw, story.raw.body),
        "older.json": older if any(older.values()) else None,
        "gaps.json": story.gaps,
    }
    files |= {name: _json(value, indent=2) for name, value in parts.items() if value not in (None, [], {})}
    if story.lines:
        files["logs.ndjson"] = "".join(_json(line) for line in story.lines)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in sorted(files.items()):
            target.writestr(zipfile.ZipInfo(name, _AT), content.encode("utf-8", "backslashreplace"))
    return stream.getvalue()


def _with_body(message: Any, body: str) -> dict[str, Any]:
    """A message with its body as JSON where it is JSON, so that its values are redacted by their names."""
    document: dict[str, Any] = json_values.to_json_types(message)
    with suppress(ValueError, RecursionError):
        document["body"] = json_values.loads(body)
    return document


def _json(value: Any, *, indent: int | None = None) -> str:
    return json_values.dumps(redaction.redacted(json_values.to_json_types(value)), indent=indent) + "\n"
