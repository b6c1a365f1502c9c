"""Every command that rtp prints for people to paste is made here: quoted for the shell, or left out where it is unsafe.

What is pasted must do what was printed, and nothing else, also when a value in it (an event's id, a file's name, a
profile) was chosen by somebody else. A test over rtp/ finds commands that are put together elsewhere.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.text.elements import Command, Fields, Line, Style, Table, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rtp.text.elements import Cell, Element

    Value = str | int | Path
    Option = Value | bool | Iterable[Value] | None

# No shell gives these a meaning anywhere in a word; `=` is missing because zsh looks `=name` up, `~` and `{` likewise.
_PLAIN = re.compile(r"[A-Za-z0-9_@%+:,./-]+")
_INVISIBLE = re.compile(  # letters and marks that show nothing; the other invisible ones are known by their category
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U00016fe4\U000e0000-\U000e0fff]"
)
_ALTERED = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"))
_BYTES = 4000  # a terminal that reads by the line cuts it at 4,096

_WHERE = {"env": "ENV", "profile": "PROFILE", "region": "REGION", "endpoint-url": "URL"}
_HERE = ("local", "init", "demo")  # commands that act on this folder, whatever the environment
_WORDS = re.compile(r"rtp (dlq [a-z]+|traces show|[a-z]+)(?![^ ])")  # with which it begins, up to its options
_QUOTED = re.compile(r"`([^`]*)`")


def command(*words: str, values: Sequence[Value] = (), **options: Option) -> Command | None:
    """A command line with its values quoted for a POSIX shell, or None where it could not be pasted safely.

    words: the program, its subcommands and literal options. options: `id="x"` is `--id=x`; True is a bare option,
    None and False none, a list one for each element. values: what stands by itself, after `--` where one begins with -.
    """
    given = [f"./{v}" if isinstance(v, Path) and str(v).startswith("-") else str(v) for v in values]
    end = ["--"] if any(v.startswith("-") for v in given) else []
    parts = [*map(quote, words), *_options(options), *end, *map(quote, given)]
    text = " ".join(part for part in parts if part is not None)
    return Command(text) if None not in parts and len(text.encode()) <= _BYTES else None


def literal(text: str) -> Command:
    """A command without any value from elsewhere; a test sees to it that `text` is a constant."""
    return Command(text)


def option(name: str, value: Value) -> Command | None:
    """`--name=VALUE` to add to a command, or None."""
    quoted = _option(name, value)
    return None if quoted is None else Command(quoted)


def assignment(name: str, value: str) -> Command | None:
    """`export NAME=VALUE`, or None."""
    quoted = quote(value)
    return None if quoted is None else Command(f"export {name}={quoted}")


def sentence(template: str, *commands: Command | None, otherwise: str = "") -> str:
    """`template` with a command between backticks for each `{}`; `otherwise` where one of them had to be left out.

    A command that itself has a backtick is left out too: nobody could see where it ends.
    """
    if any(each is None or "`" in each for each in commands):
        return otherwise
    return template.format(*(f"`{each}`" for each in commands))


def quote(value: str) -> str | None:
    r"""A word for a POSIX shell; None where what is pasted might not be what was printed.

    Single quotes keep everything from the shell, history expansion included; `'\''` rather than `"'"`, because older
    shells expand `!` after the latter. Left out is what a terminal, a clipboard or a paste does not keep: control,
    invisible and bidirectional characters, other spaces than the one, lone surrogates, text that is not composed.
    """
    if value.isascii():
        if _PLAIN.fullmatch(value) and len(value) <= _BYTES:
            return value
        safe = value.isprintable()
    else:
        safe = (
            not _INVISIBLE.search(value)
            and all(c == " " or unicodedata.category(c) not in _ALTERED for c in value)
            and not unicodedata.category(value[0]).startswith("M")  # it would join the quote before it
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


# where a command acts


def where(args: Sequence[str]) -> dict[str, str]:
    """Environment, profile, region and endpoint as a command line names them."""
    before = list(args[: args.index("--")] if "--" in args else args)
    pairs = [*pairwise(before), *((a.partition("=")[0], a.partition("=")[2]) for a in before)]
    pairs += [("-e", a[2:]) for a in before if re.match("-e[^=]", a)]
    named = {"--env": "env", "-e": "env"} | {f"--{name}": name for name in _WHERE}
    return {named[key]: value for key, value in pairs if key in named and value}


def placed(text: str, place: Mapping[str, str]) -> str:
    """A text with `place` in rtp's commands between its backticks, so that they act where this run did."""
    return _QUOTED.sub(lambda found: f"`{_placed(found[1], place, delimited=True)}`", text) if place else text


def placed_element(shown: Element, place: Mapping[str, str]) -> Element:
    """As `placed`, of the commands in an element."""
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


def _placed(said: str, place: Mapping[str, str], *, delimited: bool) -> str:
    """A command with `place` behind its subcommand; for a value that cannot be pasted, a placeholder."""
    words = _WORDS.match(said)
    if words is None or words[1].split()[0] in _HERE:
        return said
    try:
        given = shlex.split(said)
    except ValueError:  # part of a text that only looks like a command
        return said
    given = given[: given.index("--")] if "--" in given else given
    if "--help" in given:
        return said
    own = where(given)
    left = _BYTES - len(said.encode())
    added = []
    for name in [name for name in place if name not in own]:
        quoted = quote(place[name])
        if quoted is None or (delimited and "`" in quoted) or len(quoted.encode()) > left // 2:
            quoted = _WHERE[name]
        added.append(f" --{name}={quoted}")
        left -= len(added[-1].encode())
    return f"{words[0]}{''.join(added)}{said[words.end() :]}"
