"""The frames of a stack trace in a log: which of them is the project's own code."""

from __future__ import annotations

import re

TASK = re.compile(r"""[^\s"']*?/(?:var/task|ministack-lambda-[^/\s]+/code)/""")
"""The folder into which Lambda, or the engine, unpacks the function's code."""

_FRAME = re.compile(
    r"""^\s*(?:File\ "(?P<file>[^"\n]+)",\ line\ (?P<line>\d{1,9}),\ in\ (?P<function>.+)
    |(?P<short>[^\s:][^:\n]*):(?P<number>\d{1,9})\ (?P<name>.+))$""",
    re.MULTILINE | re.VERBOSE | re.ASCII,
)
_MOST = 100_000  # characters of a trace
_MAX_PLACE = 200


def place(stack: str) -> str:
    """The innermost line of the project's own code, `file:line function` as records have it; empty without one."""
    innermost = ""
    for frame in _FRAME.finditer(stack[-_MOST:]):
        file, line = frame["file"] or frame["short"], frame["line"] or frame["number"]
        own = TASK.sub("", file)
        if own != file and not own.startswith("rtp/") and "site-packages/" not in own:
            innermost = f"{own}:{line} {(frame['function'] or frame['name']).strip()}"
    return innermost[:_MAX_PLACE]
