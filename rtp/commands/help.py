"""rtp help."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rtp.commands.options import new_app

app = new_app()


def _names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Completions: the commands of rtp, or the subcommands of the one before."""
    root = ctx.find_root()
    group: Any = root.command
    for word in ctx.params.get("path") or ():
        group = group.resolve_command(root, [word])[1]
    return [name for name in getattr(group, "commands", ()) if name.startswith(incomplete)]


@app.command()
def show(
    ctx: typer.Context,
    path: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COMMAND]...", help="Such as `dlq redrive`.", autocompletion=_names),
    ] = None,
) -> None:
    """Show the help of a command.

    `rtp docs` shows the manual, and `rtp docs WORD` searches it.
    """
    group: Any = ctx.find_root().command
    group.main(args=[*(path or ()), "--help"], prog_name="rtp", standalone_mode=False)
