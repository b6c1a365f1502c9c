"""The elements that commands print for people; rtp/terminal draws them. No markup, no colours, no rich."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Command = NewType("Command", str)
"""A command line that is safe to paste. Only rtp/text/suggest.py creates one."""


class Style(StrEnum):
    """Meaning of a piece of text; rtp/terminal/draw.py decides how it looks."""

    PLAIN = ""
    STRONG = "strong"
    DIM = "dim"
    GOOD = "good"
    BAD = "bad"
    WARN = "warn"
    NAME = "name"  # ids, resource names
    COMMAND = "command"  # a command to run next
    ADVICE = "advice"  # text with commands between backticks
    MARK = "mark"  # what the operator looks for
    HUE_1 = "hue-1"  # colours without a meaning: what belongs to one event has one of them
    HUE_2 = "hue-2"
    HUE_3 = "hue-3"
    HUE_4 = "hue-4"
    HUE_5 = "hue-5"
    HUE_6 = "hue-6"


HUES = (Style.HUE_1, Style.HUE_2, Style.HUE_3, Style.HUE_4, Style.HUE_5, Style.HUE_6)


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text with one meaning. It may be any text: it is sanitised when it is drawn."""

    text: str
    style: Style = Style.PLAIN


@dataclass(frozen=True, slots=True)
class Line:
    """One line of several texts. indent: columns of space before it.

    On a terminal that is too narrow it wraps at words. hang: indent of the rows below the first; 0: a little more than
    the first row's. cut: it is cut instead, as a line of code.
    """

    parts: tuple[Text, ...]
    indent: int = 0
    hang: int = 0
    cut: bool = False


Cell = Text | Line | str | int | float | None


@dataclass(frozen=True, slots=True)
class Column:
    """A table column. right: right-aligned, for numbers. The others apply on a terminal that is too narrow.

    long: cut before other text, such as an error. fold: prose, which wraps at words; the row takes several lines.
    least: columns below which long text is not worth showing. whole: never cut. tail: an id, of which at last only the
    end is shown. drop: columns with this number are left out, 1 first. Where the others do not fit, each row is drawn
    as lines of title and value.
    """

    title: str
    right: bool = False
    long: bool = False
    fold: bool = False
    whole: bool = False
    tail: bool = False
    drop: int = 0
    least: int = 14


@dataclass(frozen=True, slots=True)
class Table:
    """Rows and columns. empty: printed instead of a table without rows. Without any title there is no header."""

    columns: Sequence[Column | str]
    rows: Sequence[Sequence[Cell]]
    empty: str = "nothing"


@dataclass(frozen=True, slots=True)
class Fields:
    """Aligned pairs of a label and a value."""

    pairs: Sequence[tuple[str, Cell]]
    indent: int = 0


@dataclass(frozen=True, slots=True)
class Heading:
    """A title, with a blank line before it unless it is the first element."""

    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """Text of several lines, such as indented JSON or a stack trace, printed without layout."""

    text: str
    style: Style = Style.PLAIN
    indent: int = 0


Element = Line | Text | Table | Fields | Heading | Block | str


def converted(element: Element, convert: Callable[[str], str]) -> Element:
    """Apply a function to every text of an element."""
    if isinstance(element, str):
        return convert(element)
    if isinstance(element, Text | Block | Heading):
        return replace(element, text=convert(element.text))
    if isinstance(element, Line):
        return replace(element, parts=tuple([replace(part, text=convert(part.text)) for part in element.parts]))
    if isinstance(element, Fields):
        return replace(element, pairs=[(convert(label), _converted(cell, convert)) for label, cell in element.pairs])
    columns = [convert(c) if isinstance(c, str) else replace(c, title=convert(c.title)) for c in element.columns]
    rows = [[_converted(cell, convert) for cell in row] for row in element.rows]
    return replace(element, columns=columns, rows=rows, empty=convert(element.empty))


def _converted(cell: Cell, convert: Callable[[str], str]) -> Cell:
    if isinstance(cell, str):
        return convert(cell)
    if isinstance(cell, Text):
        return replace(cell, text=convert(cell.text))
    if isinstance(cell, Line):
        return replace(cell, parts=tuple([replace(part, text=convert(part.text)) for part in cell.parts]))
    return cell


def many(count: int, what: str) -> str:
    """Format a count with its noun: `1 message`, `1,200 messages`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def cause(error: object) -> str:
    """Format the error of a record or attempt as `KeyError: 'total'`; empty without an error."""
    if not isinstance(error, dict):
        return ""
    return ": ".join(str(error[name]) for name in ("type", "message") if error.get(name))


def line(*parts: Text | str, indent: int = 0) -> Line:
    """Make a line of texts; strings get the plain style."""
    return Line(tuple(Text(p) if isinstance(p, str) else p for p in parts), indent)


def dim(text: str) -> Text:
    """Style secondary text."""
    return Text(text, Style.DIM)


def strong(text: str) -> Text:
    """Style important text."""
    return Text(text, Style.STRONG)


def name(text: str) -> Text:
    """Style an id or the name of a resource."""
    return Text(text, Style.NAME)


def command(text: Command) -> Text:
    """Style a command to run next, such as `rtp show ID`. The place options of this run are added when it is shown."""
    return Text(text, Style.COMMAND)


def advice(text: str) -> Text:
    """Style text with commands between backticks. The place options of this run are added to them when it is shown."""
    return Text(text, Style.ADVICE)


def next_step(label: str, suggested: Command | None, remark: str = "", *, indent: int = 0) -> list[Element]:
    """Make the line of a command to run next; no line without a safe command. remark: follows as a shell comment."""
    if suggested is None:
        return []
    return [line(dim(label), command(suggested), dim(f"  # {remark}" if remark else ""), indent=indent)]


def good(text: str) -> Text:
    """Style a success."""
    return Text(text, Style.GOOD)


def bad(text: str) -> Text:
    """Style a failure."""
    return Text(text, Style.BAD)


def warn(text: str) -> Text:
    """Style a warning."""
    return Text(text, Style.WARN)
