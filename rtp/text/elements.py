"""What commands say to people: a few plain shapes that rtp/terminal/output.py draws. No markup, no colours, no rich."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from collections.abc import Sequence

Command = NewType("Command", str)
"""A command line that can be pasted as it is. Only rtp/text/suggest.py makes one."""


class Style(StrEnum):
    """What a piece of text means; output.py decides how that looks."""

    PLAIN = ""
    STRONG = "strong"
    DIM = "dim"
    GOOD = "good"
    BAD = "bad"
    WARN = "warn"
    NAME = "name"  # ids, resource names
    COMMAND = "command"  # a command to run next
    ADVICE = "advice"  # a text with commands between backticks


@dataclass(frozen=True, slots=True)
class Text:
    """A run of text with one meaning. Any text is safe here: it is sanitised when drawn."""

    text: str
    style: Style = Style.PLAIN


@dataclass(frozen=True, slots=True)
class Line:
    """One line made of runs; `indent` columns of space before it."""

    parts: tuple[Text, ...]
    indent: int = 0


Cell = Text | Line | str | int | float | None


@dataclass(frozen=True, slots=True)
class Column:
    """A table column. `right` aligns numbers; the others say what happens to it on a terminal that is too narrow.

    fold: long text wraps. whole: never cut, such as an id; the first column never is. optional: left out first.
    """

    title: str
    right: bool = False
    fold: bool = False
    whole: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns. Empty tables are drawn as `empty`; columns without any title get no header."""

    columns: Sequence[Column | str]
    rows: Sequence[Sequence[Cell]]
    empty: str = "nothing"


@dataclass(frozen=True, slots=True)
class Fields:
    """Name and value pairs, aligned."""

    pairs: Sequence[tuple[str, Cell]]
    indent: int = 0


@dataclass(frozen=True, slots=True)
class Heading:
    """A title over what follows, with a blank line before it unless it is the first."""

    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """Text of several lines, such as pretty JSON or a stack trace, kept as it is."""

    text: str
    style: Style = Style.PLAIN
    indent: int = 0


Element = Line | Text | Table | Fields | Heading | Block | str


def many(count: int, what: str) -> str:
    """`1 message`, `1,200 messages`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def cause(error: object) -> str:
    """`KeyError: 'total'` of a record's or attempt's error; empty where it has none."""
    if not isinstance(error, dict):
        return ""
    return ": ".join(str(error[name]) for name in ("type", "message") if error.get(name))


def line(*parts: Text | str, indent: int = 0) -> Line:
    """A line of runs; bare strings are plain."""
    return Line(tuple(Text(p) if isinstance(p, str) else p for p in parts), indent)


def dim(text: str) -> Text:
    """Secondary text."""
    return Text(text, Style.DIM)


def strong(text: str) -> Text:
    """Text that leads the eye."""
    return Text(text, Style.STRONG)


def name(text: str) -> Text:
    """An id or a resource's name."""
    return Text(text, Style.NAME)


def command(text: Command) -> Text:
    """A command to run next, such as `rtp show ID`; it is shown with the environment that this run was given."""
    return Text(text, Style.COMMAND)


def advice(text: str) -> Text:
    """A text whose commands stand between backticks; they are shown with the environment that this run was given."""
    return Text(text, Style.ADVICE)


def next_step(label: str, suggested: Command | None, remark: str = "", *, indent: int = 0) -> list[Element]:
    """The line of a command to run next; none where there is no safe command. The remark is a comment to a shell."""
    if suggested is None:
        return []
    return [line(dim(label), command(suggested), dim(f"  # {remark}" if remark else ""), indent=indent)]


def good(text: str) -> Text:
    """Something that went well."""
    return Text(text, Style.GOOD)


def bad(text: str) -> Text:
    """Something that failed."""
    return Text(text, Style.BAD)


def warn(text: str) -> Text:
    """Something to look at."""
    return Text(text, Style.WARN)
