"""Paste what rtp prints into a real shell, in a folder where nothing but recorders of arguments can be run."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Values that somebody else may have chosen: an event's id, a folder's or a profile's name, an error's text.
HOSTILE = {
    "second command": "x; touch PWNED",
    "background": "x & touch PWNED &",
    "pipe": "x | touch PWNED",
    "redirection": "x > PWNED",
    "substitution": "$(touch PWNED)",
    "backticks": "`touch PWNED`",
    "variable": "$HOME ${PWNED:=x} $$",
    "single quote": "a'; touch PWNED; 'b",
    "quotes": "'\"'\"'; touch PWNED #",
    "double quote": '"; touch PWNED; "',
    "backslash": "a\\'; touch PWNED; \\",
    "newline": "x\ntouch PWNED\n",
    "carriage return": "x\rtouch PWNED\r",
    "option": "-rf",
    "long option": "--yes",
    "dash": "-",
    "double dash": "--",
    "history": "!touch !! !$",
    "history after a quote": "a'!touch'!!",
    "bidi": "x\u202etouch PWNED\u202c",
    "isolate": "\u2066x\u2069",
    "zero width": "x\u200by\ufeff",
    "variation selector": "x\ufe0f",
    "filler": "x\u3164y",
    "no-break space": "x\u00a0y",
    "line separator": "x\u2028touch PWNED",
    "tab": "x\ttouch PWNED",
    "escape": "\x1b[201~; touch PWNED\n",
    "delete": "x\x7fy",
    "c1": "x\x9b201~",
    "null": "x\x00y",
    "lone surrogate": "x\udce9",
    "home": "~",
    "somebody's home": "~root/x",
    "glob": "*",
    "glob of any": "?? [a-z]*",
    "braces": "{touch,PWNED}",
    "comment": "# x",
    "equals": "=ls",
    "assignment": "PATH=/nowhere",
    "empty": "",
    "space": " ",
    "spaces": "  a   b  ",
    "umlaut": "bestellung-müller",
    "not composed": "mu\u0308ller",
    "combining": "\u0301x",
    "emoji": "📦",
    "longest": "a" * 128,
    "longest of quotes": "'" * 128,
    "too long": "x" * 5000,
    "percent": "%s %n %1",
    "markup": "[bold]x[/bold]",
    "template": "{} {0} {id}",
}
# Those that a terminal or a clipboard does not keep as they are, or that do not fit a terminal's line.
OMITTED = {
    "newline", "carriage return", "bidi", "isolate", "zero width", "variation selector", "filler", "no-break space",
    "line separator", "tab", "escape", "delete", "c1", "null", "lone surrogate", "not composed", "combining",
    "too long",
}  # fmt: skip

_STUBS = ("rtp", "aws", "kill", "touch", "rm", "cp")
_STUB = """#!/bin/sh
printf '%s\\0' "$#" "${{0##*/}}" "$@" >> {record}
"""


@dataclass(frozen=True)
class Shell:
    """A shell whose programs only note how they were called."""

    folder: Path

    def paste(self, text: str, shell: str = "sh", *options: str) -> list[list[str]]:
        """The programs that ran, with their arguments, after `text` and Return. Fails when a file was written."""
        record, empty = self.folder / "record", self.folder / "empty"
        record.unlink(missing_ok=True)
        subprocess.run(
            [str(shutil.which(shell)), *options],
            input=(text + "\n").encode("utf-8", "surrogateescape"),
            cwd=empty,
            env={"PATH": str(self.folder / "bin"), "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "HISTFILE": ""},
            capture_output=True,
            timeout=180,
            check=False,
        )
        assert list(empty.iterdir()) == [], f"{text!r} left a file"
        noted = record.read_bytes().decode().split("\0")[:-1] if record.exists() else []
        ran = []
        while noted:
            count = int(noted[0]) + 2
            ran.append(noted[1:count])
            noted = noted[count:]
        return ran


def made(folder: Path) -> Shell:
    """Such a shell, with its programs in `folder`."""
    (folder / "bin").mkdir()
    (folder / "empty").mkdir()
    for name in _STUBS:
        stub = folder / "bin" / name
        stub.write_text(_STUB.format(record=shlex.quote(str(folder / "record"))))
        stub.chmod(0o755)
    return Shell(folder)
