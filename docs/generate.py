"""Writes docs/commands.md and docs/settings.md from the commands and settings themselves; --check only compares."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.main import get_command

from rtp import cli, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
_KINDS = {"int": "N", "float": "N", "path": "FILE"}
_COMMON = {"env", "profile", "region", "endpoint_url", "json", "query"}


def commands() -> str:
    """The command reference."""
    root = get_command(cli.app)
    rows = [
        "# Commands",
        "",
        "Written by `make docs` from the commands themselves; a test fails when it has fallen behind.",
        "",
        "Every command that touches an environment takes `--env/-e NAME`, `--profile NAME`, `--region NAME`",
        "and `--endpoint-url URL`, and every one that prints data `--json` and `--query JMESPATH`. stdout is data,",
        "stderr is talk. Times in JSON are ISO 8601 in UTC, but for those of an event and its record, which are epoch",
        "milliseconds. Exit codes are listed in [exit-codes.md](exit-codes.md).",
    ]
    panels: dict[str, list[str]] = {}
    for name, entry in cli.COMMANDS.items():
        panels.setdefault(entry.panel, []).append(name)
    for panel, names in panels.items():
        rows += ["", f"## {panel}"]
        for name in names:
            for path, command in _leaves(name, cli.load(name)):
                rows += ["", *_reference(path, command, root)]
    return "\n".join(rows) + "\n"


def reference_of_settings() -> str:
    """Every setting of `[defaults]` and `[env.*]`."""
    rows = [
        "# Settings",
        "",
        "What `[defaults]` and `[env.NAME]` of rtp.toml may set, beside `region`, `account`, `profile`,",
        "`endpoint_url` and `protected`. Written by `make docs`. `rtp config -e NAME` shows what one resolves to,",
        "and why.",
        "",
        "| setting | default | allowed | what it is |",
        "| --- | --- | --- | --- |",
    ]
    for setting in settings.table().values():
        default = "unset" if setting.default is None else f"`{_toml(setting.default)}`"
        rows.append(f"| `{setting.name}` | {default} | {setting.allowed} | {setting.description} |")
    return "\n".join(rows) + "\n"


def _leaves(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    subcommands = getattr(command, "commands", None)
    if not subcommands or getattr(command, "invoke_without_command", False):
        yield path, command
    for name, sub in (subcommands or {}).items():
        yield from _leaves(f"{path} {name}", sub)


def _reference(path: str, command: Any, root: Any) -> list[str]:
    parent = root.context_class(root, info_name="rtp")
    context = command.context_class(command, info_name=path, parent=parent)
    params = [p for p in command.get_params(context) if p.name not in {*_COMMON, "help"}]
    arguments = " ".join(piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]")
    rows = [f"### `rtp {path}{' ' + arguments if arguments else ''}`", "", (command.help or "").strip()]
    options = [p for p in params if p.param_type_name == "option"]
    if options:
        rows += ["", "| option | what it does |", "| --- | --- |"]
        rows += [f"| {_spelling(p)} | {_about(p)} |" for p in options]
    return rows


def _spelling(param: Any) -> str:
    names = sorted(param.opts, key=len, reverse=True) + list(param.secondary_opts)
    kind = param.metavar or _KINDS.get(str(param.type.name).split()[0], "TEXT")
    value = "" if param.is_flag else f" {kind}"
    return ", ".join(f"`{n}{value}`" for n in names)


def _about(param: Any) -> str:
    default = param.default
    shown = default not in (None, False, (), []) and not param.is_flag
    return (param.help or "").replace("|", "\\|") + (f" Default {default}." if shown else "")


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(list(value) if isinstance(value, tuple) else value)


def main(argv: list[str]) -> int:
    """Write, or with --check compare; 1 when something has fallen behind."""
    behind = 0
    for name, text in (("commands.md", commands()), ("settings.md", reference_of_settings())):
        file = HERE / name
        if "--check" not in argv:
            file.write_text(text, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != text:
            sys.stderr.write(f"docs/{name} has fallen behind the code: run `make docs` and commit it\n")
            behind = 1
    return behind


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
