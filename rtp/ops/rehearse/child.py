"""The child interpreter of a rehearsal: it imports the packed processors, and runs one event a line.

It has the code as Lambda has it, rtp's runtime included, so that errors have the same places as on records. It reads
JSON lines on stdin, the secrets first, and writes one for each event to stdout as it was at the start; what processors
print is dropped.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtp.ops.rehearse import guard
from rtp.runtime import jsontext, secrets
from rtp.runtime.event import Identity
from rtp.runtime.loading import check
from rtp.runtime.masking import masked
from rtp.runtime.reading import read
from rtp.runtime.registry import REGISTRY
from rtp.runtime.verdict import judge

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from rtp.runtime.event import Event
    from rtp.runtime.registry import Answer, Processor

_MAX_STACK = 4000  # characters
_GRACE_S = 10  # after which the child ends itself, if nobody has


def main() -> None:
    """Run events until stdin ends."""
    given = json.loads(sys.argv[1])
    lines, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nowhere, descriptor)
    values = json.loads(lines.readline())
    is_isolated = not given["network"] and guard.without_network()
    watch = guard.Guard(Path(given["scratch"]), network=given["network"])
    secrets.give(_Secrets(values, given["withheld_secrets"], watch))
    _watch_variables(frozenset(given["withheld"]), watch)
    watch.install()

    def answer(value: Mapping[str, Any]) -> None:
        answers.write(json.dumps({**value, "tried": watch.tried}) + "\n")
        answers.flush()

    problems = check(Path(given["module"])).problems
    answer({"problems": problems, "is_isolated": is_isolated})
    loop = _Loop()
    for line in lines:
        watch.begin()
        signal.alarm(int(given["limit_s"]) + _GRACE_S)
        answer(_run(json.loads(line), loop))
        signal.alarm(0)


class _Loop:
    """The event loop of async processors: one for all events, as in a function."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    def run(self, call: Coroutine[Any, Any, Answer]) -> Answer:
        """The answer of a call."""
        if self._runner is None:
            import asyncio

            self._runner = asyncio.Runner()
        return self._runner.run(call)


def _run(job: Mapping[str, Any], loop: _Loop) -> dict[str, Any]:
    """Run an event as a function does. Never raises."""
    reading = read(REGISTRY, job["text"], Identity(job["id"], job["timestamp"]))
    failure: BaseException | None = reading.invalid
    result, emitted = "null", dict[str, int]()
    if failure is None and reading.processor is not None:
        event = replace(reading.event, data=reading.data(), source=job["source"], emitted=[])
        try:
            value = _call(reading.processor, event, loop)
            result = jsontext.dumps(value.result)
            emitted = dict(Counter(one.type for one in value.emitted))
        except BaseException as error:
            failure = error
    verdict = judge(failure)
    answer = {"outcome": verdict.kind, "type": reading.event.type, "result": result, "emitted": emitted}
    if failure is None or verdict.error is None:
        return answer
    stack = _stack(failure) if verdict.kind == "failed" else ""
    return answer | {"error": verdict.error._asdict(), "stack": stack}


def _call(processor: Processor, event: Event[Any], loop: _Loop) -> Answer:
    return loop.run(processor.call_async(event)) if processor.is_async else processor.call(event)


def _stack(failure: BaseException) -> str:
    frames = failure.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__name__", "").startswith("rtp."):
        frames = frames.tb_next
    try:
        return masked("".join(traceback.format_exception(failure.with_traceback(frames))))[-_MAX_STACK:].rstrip()
    except Exception:  # an exception whose text cannot be read
        return ""


class _Secrets(Mapping[str, str]):
    """The given secrets; asking for one that is declared and withheld is noted."""

    def __init__(self, values: Mapping[str, str], withheld: list[str], watch: guard.Guard) -> None:
        self._values, self._withheld, self._watch = dict(values), withheld, watch

    def __getitem__(self, name: str) -> str:
        if name in self._withheld:
            self._watch.note("secret", name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _watch_variables(withheld: frozenset[str], watch: guard.Guard) -> None:
    """Note each read of a variable that the functions have and the rehearsal does not."""

    class Watched(os._Environ):  # type: ignore[type-arg]
        def __getitem__(self, name: Any) -> Any:
            try:
                return super().__getitem__(name)
            except KeyError:
                if name in withheld:
                    watch.note("variable", name)
                raise

    os.environ.__class__ = Watched
