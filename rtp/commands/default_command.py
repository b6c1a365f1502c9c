"""A group of commands of which one is meant where no other is named: `rtp triage GROUP` is `rtp triage show GROUP`."""

from __future__ import annotations

from typing import Any, ClassVar

from typer.core import TyperGroup


class DefaultCommand(TyperGroup):
    """Inserts the default command's name where the first argument names no command."""

    default: ClassVar[str] = "show"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as Typer does, with the default command where none is named."""
        is_help = args[:1] in (["--help"], ["-h"])
        if not is_help and (not args or args[0] not in self.commands):
            args = [self.default, *args]
        return list(super().parse_args(ctx, args))
