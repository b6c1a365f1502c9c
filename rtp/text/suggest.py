"""Build every command that rtp prints for people to paste: quoted for the shell, or left out where that is unsafe.

A pasted command must do exactly what was printed, even if a value in it (an event's id, a file name, a profile) was
chosen by an attacker. A test over rtp/ finds commands that are built elsewhere.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.runtime import characters
from rtp.text import addresses
from rtp.text.elements import Command, Fields, Line, Style, Table, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rtp.text.elements import Cell, Element

    Value = str | int | Path
    Option = Value | bool | Iterable[Value] | None

# Characters without a meaning to any shell. `=` is not among them because zsh expands `=name`; `~` and `{` neither.
_UNQUOTED = re.compile(r"[A-Za-z0-9_@%+:,./-]+")
_BYTES = 4000  # a terminal in line mode cuts input at 4,096

_WHERE = {"project-dir": "DIR", "env": "ENV", "profile": "PROFILE", "region": "REGION", "endpoint-url": "URL"}
_ANYWHERE = ("init", "demo", "docs", "help", "trust", "version")  # commands that take no place
_FOLDER_ALONE = ("local",)  # commands that act on the folder, whatever the environment
_WORDS = re.compile(
    r"rtp (dlq [a-z]+|keys [a-z]+|local [a-z]+|secrets [a-z]+|traces show|history show|"
    r"triage (?:show|ack|mute|resolve|reopen|note)|[a-z]+)(?![^ ])"
)  # the command up to its options
_QUOTED = re.compile(r"`([^`]*)`")


def command(*words: str, values: Sequence[Value] = (), **options: Option) -> Command | None:
    """Build a command line with its values quoted for a POSIX shell; None if it cannot be pasted safely.

    words: program, subcommands and literal options. options: `id="x"` becomes `--id=x`, True a bare option, None and
    False nothing, a list one option per element. values: positional, after `--` if one begins with -.
    """
    arguments = [f"./{v}" if isinstance(v, Path) and str(v).startswith("-") else str(v) for v in values]
    end = ["--"] if any(v.startswith("-") for v in arguments) else []
    parts = [*map(quote, words), *_options(options), *end, *map(quote, arguments)]
    text = " ".join(part for part in parts if part is not None)
    return Command(text) if None not in parts and len(text.encode()) <= _BYTES else None


def literal(text: str) -> Command:
    """Build a command without values from elsewhere; a test ensures that `text` is a constant."""
    return Command(text)


def option(name: str, value: Value) -> Command | None:
    """Build `--name=VALUE`, or None if it cannot be pasted safely."""
    quoted = _option(name, value)
    return None if quoted is None else Command(quoted)


def assignment(name: str, value: str) -> Command | None:
    """Build `export NAME=VALUE`, or None if it cannot be pasted safely."""
    quoted = quote(value)
    return None if quoted is None else Command(f"export {name}={quoted}")


def sentence(template: str, *commands: Command | None, otherwise: str = "") -> str:
    """Fill each `{}` of `template` with a command between backticks; `otherwise` if one of the commands is None.

    A command with a backtick counts as None: its end could not be seen.
    """
    if any(each is None or "`" in each for each in commands):
        return otherwise
    return template.format(*(f"`{each}`" for each in commands))


def quote(value: str) -> str | None:
    r"""Quote a word for a POSIX shell; None if the pasted text could differ from the printed one.

    Single quotes protect everything from the shell, history expansion included; `'\''` rather than `"'"`, because older
    shells expand `!` after the latter. None for characters that a terminal, a clipboard or a paste may alter: control,
    invisible and bidirectional characters, spaces other than U+0020, lone surrogates, text that is not in NFC.
    """
    if value.isascii():
        if _UNQUOTED.fullmatch(value) and len(value) <= _BYTES:
            return value
        safe = value.isprintable()
    else:
        safe = (
            value.isprintable()
            and not characters.FILLERS.search(value)
            and not unicodedata.category(value[0]).startswith("M")  # it would combine with the quote before it
            and unicodedata.is_normalized("NFC", value)
        )
    quoted = "'" + value.replace("'", r"'\''") + "'"
    return quoted if safe and len(quoted.encode()) <= _BYTES else None


def _options(options: Mapping[str, Option]) -> Iterable[str | None]:
    for key, value in options.items():
        name = key.replace("_", "-")
        if value is True:
            yield f"--{name}"
        elif value is not None and value is not False:
            yield from (_option(name, each) for each in ((value,) if isinstance(value, str | int | Path) else value))


def _option(name: str, value: Value) -> str | None:
    quoted = quote(str(value))
    return None if quoted is None else f"--{name}={quoted}"


# the place options: environment, profile, region, endpoint


def where(args: Sequence[str]) -> dict[str, str]:
    """Read the place options from the arguments of a command line."""
    before = list(args[: args.index("--")] if "--" in args else args)
    pairs = [*pairwise(before), *((a.partition("=")[0], a.partition("=")[2]) for a in before)]
    pairs += [(a[:2], a[2:]) for a in before if re.match("-[eC][^=]", a)]
    named = {"--env": "env", "-e": "env", "-C": "project-dir"} | {f"--{name}": name for name in _WHERE}
    return {named[key]: value for key, value in pairs if key in named and value}


def placed(text: str, place: Mapping[str, str]) -> str:
    """Add the place options to rtp's commands between the backticks of a text, so that they act where this run did."""
    return _QUOTED.sub(lambda match: f"`{_placed(match[1], place, delimited=True)}`", text) if place else text


def placed_element(shown: Element, place: Mapping[str, str]) -> Element:
    """As `placed`, for the commands in an element."""
    if isinstance(shown, Fields):
        return replace(shown, pairs=[(label, _cell(cell, place)) for label, cell in shown.pairs])
    if isinstance(shown, Table):
        return replace(shown, rows=[[_cell(cell, place) for cell in row] for row in shown.rows])
    return _line(shown, place) if isinstance(shown, Line) else _run(shown, place) if isinstance(shown, Text) else shown


def _cell(cell: Cell, place: Mapping[str, str]) -> Cell:
    return _line(cell, place) if isinstance(cell, Line) else _run(cell, place) if isinstance(cell, Text) else cell


def _line(line: Line, place: Mapping[str, str]) -> Line:
    if all(part.style not in (Style.COMMAND, Style.ADVICE) for part in line.parts):
        return line
    return replace(line, parts=tuple([_run(part, place) for part in line.parts]))


def _run(run: Text, place: Mapping[str, str]) -> Text:
    if run.style is Style.COMMAND:
        return replace(run, text=_placed(run.text, place, delimited=False))
    return replace(run, text=placed(run.text, place)) if run.style is Style.ADVICE else run


def _placed(text: str, place: Mapping[str, str], *, delimited: bool) -> str:
    """Add the place options after the subcommand; a placeholder for a value that cannot be pasted."""
    words = _WORDS.match(text)
    if words is None or (first := words[1].split()[0]) in _ANYWHERE:
        return text
    names = ("project-dir",) if first in _FOLDER_ALONE else tuple(_WHERE)
    try:
        arguments = shlex.split(text)
    except ValueError:  # text that only looks like a command
        return text
    arguments = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--help" in arguments:
        return text
    given = where(arguments)
    bytes_left = _BYTES - len(text.encode())
    added = []
    for name in [name for name in names if name in place and name not in given]:
        quoted = quote(place[name])
        is_secret = addresses.masked(place[name]) != place[name]
        if quoted is None or is_secret or (delimited and "`" in quoted) or len(quoted.encode()) > bytes_left // 2:
            quoted = _WHERE[name]
        added.append(f" --{name}={quoted}")
        bytes_left -= len(added[-1].encode())
    return f"{words[0]}{''.join(added)}{text[words.end() :]}"
