"""The classes of rtp's commands for typer. What draws their help is loaded when it is asked for."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup


class OneCommand(TyperCommand):
    """A command without subcommands."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        from rtp.terminal import help_page

        formatter.write(help_page.page(self, ctx))


class CommandGroup(TyperGroup):
    """A command with subcommands."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        from rtp.terminal import help_page

        formatter.write(help_page.page(self, ctx))
