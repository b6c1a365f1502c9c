"""Errors of the command line's parser, with what to write instead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtp.errors import RtpError, UsageError
from rtp.text import suggest

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNKNOWN = "No such command"
_NOT_A_NUMBER = re.compile(r"is not a valid (?:float|int)\w*(?: range)?(?=\.?\Z)")
_SURPLUS = re.compile(r"Got unexpected extra argument\(s\) \((.*)\)\Z", re.DOTALL)


def explained(error: Any, args: Sequence[str], *, command: Sequence[str]) -> UsageError:
    """The error of Typer's parser as rtp reports it.

    args: of the whole command line. command: the words of the command, for an error that does not know its own.
    """
    message: str = error.format_message()
    context = getattr(error, "ctx", None)
    if context is None:  # of an option without its value, for example
        return UsageError(message, hint=_see(command))
    path: list[str] = context.command_path.split()
    if surplus := _SURPLUS.match(message):
        return _too_many(surplus[1], context, path, args)
    if message.startswith(_UNKNOWN) and len(path) > 1:
        return UsageError(message, hint=_subcommands(message, context.command, path))
    if message.startswith(_UNKNOWN):
        return UsageError(message, hint=_manual(message, args))
    if type(error).__name__ == "MissingParameter" and message.startswith("Missing argument"):
        form = suggest.sentence("Write {}.", suggest.command(*path, *_arguments(context.command)))
        return UsageError(message, hint=f"{form} {_meaning(error.param)}".strip())
    return UsageError(_NOT_A_NUMBER.sub("is not a number", message), hint=_see(path))


def _see(path: Sequence[str]) -> str:
    return suggest.sentence("See {}.", suggest.command(*path, help=True))


def _arguments(command: Any) -> list[str]:
    """The names of a command's arguments, such as ID."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    return [(p.metavar or p.name.upper()).strip("[]{}.") for p in arguments]


def _meaning(argument: Any) -> str:
    """What an argument is, as the command's help says it."""
    return f"{argument.metavar or argument.name.upper()}: {argument.help}" if argument.help else ""


def _has_option(command: Any, name: str) -> bool:
    return any(name in getattr(parameter, "opts", ()) for parameter in command.params)


def _manual(message: str, args: Sequence[str]) -> str:
    """Where a word that is no command may be: `rtp help throttling` asks for a topic of the manual."""
    word = message.removeprefix(_UNKNOWN).strip(" .").partition("'")[2].partition("'")[0]
    topic = suggest.command("rtp", "docs", values=(word,)) if word and "help" in args[:1] else None
    lists, search = suggest.command("rtp", help=True), topic or suggest.literal("rtp docs WORD")
    return suggest.sentence("{} lists the commands, {} searches the manual.", lists, search)


def _subcommands(message: str, group: Any, path: Sequence[str]) -> str:
    """What a group of commands has. An id behind `rtp dlq` is one to inspect."""
    names = sorted(group.commands)
    hint = f"Use {'one of ' if len(names) > 1 else ''}{', '.join(names)}."
    word = message.removeprefix(_UNKNOWN).strip(" .").strip("'")
    if path[1:] == ["dlq"] and "Did you mean" not in message:
        return hint + suggest.sentence(" One event: {}.", suggest.command(*path, "inspect", id=word))
    return hint


def _too_many(words: str, context: Any, path: Sequence[str], args: Sequence[str]) -> UsageError:
    """A word too many: often an environment, or an id, where an option takes it."""
    arguments = _arguments(context.command)
    form = " ".join([*path, *arguments])
    message = f"`{form}` takes no {'further argument' if arguments else 'argument'} {words!r}."
    if words in _environments(args) and _has_option(context.command, "--env"):
        option = suggest.sentence("An environment is given as {}. ", suggest.option("env", words))
    elif _has_option(context.command, "--id"):
        option = suggest.sentence("An event's id is given as {}. ", suggest.option("id", words))
    else:
        option = ""
    return UsageError(message, hint=option + _see(path))


def _environments(args: Sequence[str]) -> set[str]:
    from rtp.config import environments

    try:
        return environments.names(Path(suggest.where(args).get("project-dir") or Path.cwd()))
    except (RtpError, OSError):
        return set()
