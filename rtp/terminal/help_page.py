"""The help of a command, in the panels of its options and subcommands, drawn without rich.

typer's own help loads rich and lays out boxes, which takes as long as all else that `rtp --help` does.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

from rtp.terminal import charset, draw, prose
from rtp.text.elements import Line, Style, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOST_COLUMNS = 120  # longer lines are hard to read
_MOST_NAME = 34  # columns of a name beside which its description stands; below a longer one it has lines of its own
_MOST_WORDS = 14  # columns of the words that an option takes, in place of what stands for them
_LEAST_ROOM = 24  # columns of a description beside the names; in a narrower terminal all descriptions stand below
_INDENT, _GAP = 2, 2
_KINDS = {"int": "N", "float": "N", "path": "FILE"}

_BRACES = re.compile(r"\{([A-Z]+)\}")  # around the name of an argument that has to be given
_RANGE = re.compile(r"(?<=[\[ ])(?:([\d.]+)<=x<=([\d.]+)|x>=([\d.]+))(?=[;\]])")  # as the parser describes it

Row = tuple[str, str]  # a name and its description


def page(command: Any, ctx: Any) -> str:
    """The help of a command."""
    panels: dict[str, list[Row]] = {"Arguments": [], "Options": []}
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)  # None where it is hidden
        if record is not None:
            default = "Arguments" if param.param_type_name == "argument" else "Options"
            panels.setdefault(param.rich_help_panel or default, []).append(
                (spelling(param), _described(param, record[1]))
            )
    panels_of_commands: dict[str, list[Row]] = {}
    for name in getattr(command, "commands", ()):
        subcommand = command.commands[name]
        if not subcommand.hidden:
            text = cleandoc(subcommand.short_help or subcommand.help or "").split("\n\n")[0]
            panels_of_commands.setdefault(subcommand.rich_help_panel or "Commands", []).append((name, text))
    width = min(shutil.get_terminal_size().columns, _MOST_COLUMNS)
    usage = _BRACES.sub(r"\1", command.get_usage(ctx))
    lines = list(_prose(usage, command.help or "", width))
    for some in (panels, panels_of_commands):
        lines += _panels(some, width)
    text = "\n".join(draw.lit(line, _codes()) for line in lines)
    return charset.escaped(text, sys.stdout.encoding or "utf-8")


def spelling(param: Any) -> str:
    """The names of an option with what it takes, or the name of an argument."""
    if param.param_type_name == "argument":
        return str(param.metavar or param.name.upper())
    names = [*sorted(param.opts, key=len, reverse=True), *param.secondary_opts]
    return ", ".join(names) + ("" if param.is_flag else f" {kind(param)}")


def kind(param: Any) -> str:
    """What an option takes: one of a few words, or what its description explains."""
    words = "|".join(_choices(param))
    if words and len(words) <= _MOST_WORDS:
        return words
    return param.metavar or _KINDS.get(str(param.type.name).split()[0], "TEXT")


def about(param: Any) -> str:
    """The description of an option, with the words that it takes where these are not named otherwise."""
    text, choices = param.help or "", _choices(param)
    is_named = not choices or kind(param) == "|".join(choices) or all(word in text for word in choices)
    return text if is_named else f"{text} One of {', '.join(choices)}.".strip()


def _choices(param: Any) -> list[str]:
    return [str(getattr(choice, "value", choice)) for choice in getattr(param.type, "choices", None) or ()]


def _described(param: Any, record: str) -> str:
    """The description as the parser has it, with its default and range."""
    text = param.help or ""
    rest = record.removeprefix(text) if text else record
    return _in_words(f"{about(param)}{rest}")


def _in_words(description: str) -> str:
    """The description with the parser's range, such as `1<=x<=256`, in words."""
    return _RANGE.sub(lambda found: f"{found[1]} to {found[2]}" if found[1] else f"at least {found[3]}", description)


def _prose(usage: str, text: str, width: int) -> Iterator[Any]:
    """The usage, and the paragraphs of the command's help."""
    yield from prose.wrapped(Line((Text(" ".join(usage.split()), Style.STRONG),)), width)
    for paragraph in cleandoc(text).partition("\f")[0].split("\n\n"):
        yield ""
        yield from prose.wrapped(" ".join(paragraph.split()), width, hang=0)


def _panels(panels: Mapping[str, list[Row]], width: int) -> Iterator[Any]:
    """The names and descriptions of each panel, the descriptions of all panels in one column."""
    names = [len(name) for rows in panels.values() for name, _ in rows if len(name) <= _MOST_NAME]
    column = _INDENT + max(names, default=0) + _GAP
    if width - column < _LEAST_ROOM:
        column = 2 * _INDENT
    for title, rows in panels.items():
        if rows:
            yield ""
            yield Text(title, Style.STRONG)
        for name, description in rows:
            yield from _row(name, " ".join(description.split()), column, width)


def _row(name: str, description: str, column: int, width: int) -> Iterator[Line]:
    drawn = prose.wrapped(Text(description), width - column, hang=0)
    texts = [element.parts if isinstance(element, Line) else (Text(description),) for element in drawn]
    shown = Text(name, Style.NAME)
    if _INDENT + len(name) + _GAP <= column:
        gap = Text(" " * (column - _INDENT - len(name)))
        yield Line((shown, *((gap, *texts[0]) if description else ())), _INDENT)
        texts = texts[1:]
    else:
        yield Line((shown,), _INDENT)
    yield from (Line(parts, column) for parts in texts)


def _codes() -> dict[Style, str]:
    is_coloured = sys.stdout.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
    return draw.codes(colour=is_coloured, monochrome=bool(os.environ.get("NO_COLOR")))
