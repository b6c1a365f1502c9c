"""Run one event through the processors in this process, where a debugger can follow it."""

from __future__ import annotations

import os
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.infra.packing import Selection, Sources


class Unpacked:
    """Hides what stands beside the processors and is not packed, as Lambda does not have it either."""

    def __init__(self, sources: Sources, selection: Selection) -> None:
        from rtp.infra import packing

        packed = {name.partition("/")[0].removesuffix(".py") for name, _ in selection.entries}
        self._hidden = set(packing.beside(sources)) - packed

    def find_spec(self, name: str, path: object = None, _target: object = None) -> None:
        """Raise ModuleNotFoundError for a hidden module; leave all others to Python's own finders."""
        if path is None and name in self._hidden:
            raise ModuleNotFoundError(f"No module named {name!r}; it is not packed", name=name)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an event was rejected or failed.

    type: class of the exception. message: its text. stack: the user's own part of the traceback, as Python prints it.
    """

    type: str
    message: str
    stack: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One event that was run through the processors.

    outcome: processed, invalid (400), rejected (422 or the DLQ) or failed (it would be retried).
    processor: the name of the function; null where no processor has the type. result: what it returned.
    emitted: the events that it emitted. errors: `path` and `message` of each reason why the event is invalid.
    error: why it was rejected or failed.
    """

    outcome: str
    id: str
    type: str
    processor: str | None
    result: Any
    emitted: list[dict[str, Any]]
    errors: list[dict[str, str]]
    error: Failure | None


def run(
    sources: Sources | None,
    variables: Mapping[str, str],
    text: str,
    *,
    secrets: Mapping[str, str],
    attempt: int = 1,
) -> Run:
    """Run an event's JSON text through the same checks and processor as in Lambda. Raises ConfigError.

    variables: the function's environment variables, which are set in this process. secrets: values by name, which no
    part of the result shows.
    """
    from rtp.infra import assets
    from rtp.runtime import loading, testing
    from rtp.runtime import secrets as runtime_secrets

    os.environ.update(variables)
    runtime_secrets.give(secrets)
    if sources is not None:
        sys.meta_path.insert(0, Unpacked(sources, assets.check(sources)))
        name = assets.module(sources)
        package = sources.root / name
        report = loading.check(package if package.is_dir() else sources.root / f"{name}.py")
        if report.problems:
            raise ConfigError(
                f"The processors do not work: {report.problems[0]}.", hint="Fix it and repeat.", code="processors"
            )
    result = testing.run_event(text, attempt=attempt)
    return Run(
        outcome=result.outcome,
        id=result.event.id if result.event else "",
        type=result.event.type if result.event else "",
        processor=f"{result.processor.function.__name__} ({result.processor.where})" if result.processor else None,
        result=result.result,
        emitted=[{"type": e.type, "data": e.data} for e in result.emitted],
        errors=[{"path": p.path, "message": p.message} for p in result.problems],
        error=_failure(result.error, result.outcome),
    )


def _failure(error: Exception | None, outcome: str) -> Failure | None:
    from rtp.runtime.masking import masked

    if error is None or outcome == "invalid":
        return None
    if outcome == "rejected":
        return Failure(type(error).__name__, masked(str(error)))
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__name__", "").startswith("rtp.runtime."):
        frames = frames.tb_next
    stack = "".join(traceback.format_exception(error.with_traceback(frames))).rstrip()
    return Failure(type(error).__name__, masked(str(error)), masked(stack))
