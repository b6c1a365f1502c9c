"""Completion of values: from files of the project alone, so that a shell never waits for a network."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtp.errors import RtpError
from rtp.text import sanitize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rtp.config import Environment

_MOST_FILES, _MOST_BYTES = 200, 1_000_000  # of processors that are searched
# A shell puts a completed value into the command line as it is, without quotes, and whoever sends an event chooses its
# id and type: `x$(…)` would run at Enter, `--yes` would be an option. Letters and digits of any script mean nothing to
# bash, zsh, fish and PowerShell, nor do these signs where they do not come first.
_HARMLESS = re.compile(r"\w[\w.:/@+=-]*")
_PROCESSOR = re.compile(r"""@(?:\w+\.)?processor\(\s*(?:type\s*=\s*)?["']([^"'\\]+)["']""")


def environments(ctx: Any, incomplete: str) -> list[str]:
    """The environments of rtp.toml and the built-in ones."""

    def names() -> Iterable[str]:
        from rtp.config import environments

        return environments.names(Path(_given(ctx, "project_dir") or os.environ.get("RTP_PROJECT") or Path.cwd()))

    return _fitting(names, incomplete)


def types(ctx: Any, incomplete: str) -> list[str]:
    """The types that the processors name and those of events that were shown."""

    def names() -> Iterable[str]:
        environment = _environment(ctx)
        return {*_declared(environment.processors), *(entry.type for entry in _shown(environment))}

    return _fitting(names, incomplete)


def statuses(incomplete: str) -> list[str]:
    """The statuses of a record."""

    def names() -> Iterable[str]:
        from rtp.ops.events.records import STATUSES

        return STATUSES

    return _fitting(names, incomplete)


def functions(incomplete: str) -> list[str]:
    """The two functions."""
    return _fitting(lambda: ("processor", "worker"), incomplete)


def alarms(incomplete: str) -> list[str]:
    """The alarms of a pipeline."""

    def names() -> Iterable[str]:
        from rtp.contract import Alarm

        return [alarm.value for alarm in Alarm]

    return _fitting(names, incomplete)


def levels(incomplete: str) -> list[str]:
    """The levels of log lines."""

    def names() -> Iterable[str]:
        from rtp.ops.telemetry.logevent import LEVELS

        return LEVELS

    return _fitting(names, incomplete)


def event_ids(ctx: Any, incomplete: str) -> list[str]:
    """The ids of events that were shown, the last first."""
    return _fitting(lambda: [e.id for e in _shown(_environment(ctx)) if e.kind == "event"], incomplete, ordered=False)


def dead_ids(ctx: Any, incomplete: str) -> list[str]:
    """The ids of dead events that were shown, the last first."""
    return _fitting(lambda: [e.id for e in _shown(_environment(ctx)) if e.status == "dead"], incomplete, ordered=False)


def trace_ids(ctx: Any, incomplete: str) -> list[str]:
    """The ids of traces and events that were shown, the last first."""
    kinds = ("event", "trace")
    return _fitting(lambda: [e.id for e in _shown(_environment(ctx)) if e.kind in kinds], incomplete, ordered=False)


def runs(ctx: Any, incomplete: str) -> list[str]:
    """The names of runs of the history that were shown, the last first."""
    return _fitting(lambda: [e.id for e in _shown(_environment(ctx)) if e.kind == "run"], incomplete, ordered=False)


def dlq_runs(ctx: Any, incomplete: str) -> list[str]:
    """The names of redrives, purges and replays that were shown, the last first."""
    return _fitting(lambda: [e.id for e in _shown(_environment(ctx)) if e.kind == "dlq-run"], incomplete, ordered=False)


def releases(ctx: Any, incomplete: str) -> list[str]:
    """The releases that were shown, the last first."""
    return _fitting(lambda: [e.id for e in _shown(_environment(ctx)) if e.kind == "release"], incomplete, ordered=False)


def secrets(ctx: Any, incomplete: str) -> list[str]:
    """The secrets that rtp.toml names."""
    return _fitting(lambda: list(_environment(ctx).settings.secrets), incomplete)


def _fitting(names: Callable[[], Iterable[str]], incomplete: str, *, ordered: bool = True) -> list[str]:
    """The names that go on from what is typed and that a shell takes as they are; none where they cannot be read.

    A shell shows no error.
    """
    try:
        found = [name for name in dict.fromkeys(names()) if name.startswith(incomplete) and _is_harmless(name)]
    except (RtpError, OSError, ValueError):
        return []
    return sorted(found) if ordered else found[:50]


def _is_harmless(name: str) -> bool:
    """Whether a shell and a terminal take a value as it is; a filler, which shows nothing, counts as a word."""
    return _HARMLESS.fullmatch(name) is not None and sanitize.printable(name) == name


def _shown(environment: Environment) -> list[Any]:
    from rtp.ops import shown

    return shown.recall(environment)


def _environment(ctx: Any) -> Environment:
    from rtp.config import Overrides
    from rtp.config.environments import resolve

    return resolve(Overrides(project_dir=_given(ctx, "project_dir"), env=_given(ctx, "env")))


def _given(ctx: Any, name: str) -> str | None:
    value = ctx.params.get(name)
    return value if isinstance(value, str) else None


def _declared(processors: Path | None) -> list[str]:
    """The types in the decorators of processors, without running them."""
    if processors is None:
        return []
    files = sorted(processors.rglob("*.py"))[:_MOST_FILES] if processors.is_dir() else [processors]
    texts = [file.read_text(errors="replace") for file in files if file.stat().st_size <= _MOST_BYTES]
    return [name for text in texts for name in _PROCESSOR.findall(text)]
