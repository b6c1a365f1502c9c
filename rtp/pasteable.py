"""Commands that rtp tells people to run, with the environment in which it said so: pasted, they act on the same one."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from rtp.view import Fields, Line, Style, Table, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.view import Cell, View

_COMMAND = r"rtp (?!local|demo|init)[a-z](?:(?! -e | --env|--help)[^`])*"
_QUOTED = re.compile(rf"`({_COMMAND})`")
_BARE = re.compile(_COMMAND)


def named(args: Sequence[str]) -> str | None:
    """The environment that a command line names."""
    pairs = [*pairwise(args), *((a.partition("=")[0], a.partition("=")[2]) for a in args)]
    return next((v for k, v in pairs if k in ("--env", "-e") and re.fullmatch(r"[a-z][a-z0-9-]*", v)), None)


def text(said: str, env: str | None) -> str:
    """A text with `-e ENV` in the commands between its backticks; or a text that is a command."""
    if env is None:
        return said
    return f"{said} -e {env}" if _BARE.fullmatch(said) else _QUOTED.sub(rf"`\1 -e {env}`", said)


def view(shown: View, env: str) -> View:
    """A view with the environment in those of its texts that are marked as commands."""
    if isinstance(shown, Fields):
        return replace(shown, pairs=[(label, _cell(cell, env)) for label, cell in shown.pairs])
    if isinstance(shown, Table):
        return replace(shown, rows=[[_cell(cell, env) for cell in row] for row in shown.rows])
    return _line(shown, env) if isinstance(shown, Line) else _run(shown, env) if isinstance(shown, Text) else shown


def _cell(cell: Cell, env: str) -> Cell:
    return _line(cell, env) if isinstance(cell, Line) else _run(cell, env) if isinstance(cell, Text) else cell


def _line(line: Line, env: str) -> Line:
    if all(part.style is not Style.COMMAND for part in line.parts):
        return line
    return replace(line, parts=tuple([_run(part, env) for part in line.parts]))


def _run(run: Text, env: str) -> Text:
    return replace(run, text=text(run.text, env)) if run.style is Style.COMMAND else run
