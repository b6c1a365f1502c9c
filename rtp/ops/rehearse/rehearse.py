"""Rehearse: run archived events through the code of this folder in child interpreters, and compare with the records."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from rtp.contract import Output
from rtp.errors import ConfigError
from rtp.infra import archive, assets
from rtp.ops.rehearse import absent, compare, guard, messages, selection
from rtp.ops.rehearse.interpreter import Interpreter, Job, Setting
from rtp.ops.rehearse.messages import Candidate, Candidates
from rtp.ops.rehearse.report import Findings, Rehearsal
from rtp.ops.rehearse.selection import Seen
from rtp.ops.stack.build import processors
from rtp.ops.work import pool
from rtp.runtime.event import Identity, InvalidEventError, parse
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

    from rtp.aws import Aws
    from rtp.config import Environment
    from rtp.ops.events.outcome import Record
    from rtp.ops.rehearse.compare import Compared
    from rtp.ops.rehearse.selection import Request
    from rtp.ops.work.pool import Stop

_THREADS = 2  # for each interpreter: one reads the archive while another event runs
_INTERPRETERS = 4  # at most: each has the processors' packages in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What processors get in a rehearsal. aws: variables for AWS calls, where the network is allowed; else None.

    variables: whether they get those of rtp.toml. secrets: values by name.
    """

    aws: Mapping[str, str] | None = None
    variables: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """Step: how many events were run so far. report: makes a report of them. now: what is done beside; else empty."""

    count: int
    report: Callable[[], Rehearsal]
    now: str = ""


def rehearse(
    aws: Aws, outputs: Mapping[str, str], environment: Environment, request: Request, allowed: Allowed, *, stop: Stop
) -> Generator[Progress, None, Rehearsal]:
    """Run the events of a request. Returns what was found, also of a run that `stop` ended.

    Raises ConfigError where the processors cannot be imported, UsageError for a status that cannot be compared,
    NotFoundError where nothing is what the options name, WaitTimeoutError where a hidden message may be.
    """
    request.check()
    findings = Findings()
    yield Progress(0, findings.report, now="packing the code")
    aws.connect("dynamodb", "s3")
    texts = selection.Texts(aws, outputs[Output.BUCKET])
    seen = Seen(retention_days=environment.settings.dlq_retention_days)
    lost: list[Record] = []
    records = selection.selected(aws, outputs, request, shards=environment.settings.index_shards, seen=seen)
    with pool.tasks(1) as start, _interpreters(environment, allowed) as (spare, first):
        threads = _THREADS * spare.qsize()
        # The records are asked for while the processors are imported.
        begun = _begun(records, start(next, records, None).result)
        first_ones = _Limited((Candidate(record) for record in begun), request.limit)
        yield Progress(0, findings.report, now="importing the processors")
        first.start()
        findings.note_import(first.tried_at_import)
        if allowed.aws is not None:
            findings.network = "allowed"
        elif first.is_isolated:
            findings.network = "none"

        def run(candidate: Candidate) -> list[None]:
            """Counted here: no result waits in memory for those who look at the progress."""
            text = texts.of(candidate.record) if candidate.text is None else candidate.text
            if text is None and selection.doubt(candidate.record, times.now_ms()) == "":
                lost.append(candidate.record)
                return []
            findings.add(_run(candidate, text, texts, spare))
            return [None]

        def ran(candidates: Iterable[Candidate]) -> Iterator[Progress]:
            for _ in pool.each(candidates, run, threads=threads, stop=stop):
                yield Progress(findings.events, findings.report)

        yield from ran(first_ones)
        # What has no record, or no text any more, is in the message alone.
        left = Candidates(left=lost)
        if not (stop.drain.is_set() or first_ones.more):
            yield Progress(findings.events, findings.report, now="reading the dead-letter queue")
            left = messages.read(aws, outputs, request, seen, lost, most=first_ones.left, stop=stop)
            findings.unseen = left.unseen
            yield from ran(left.events)
        for record in left.left:
            findings.add(compare.skipped(record, "its text is archived no longer"))
    if not (first_ones.more or stop.drain.is_set()):
        if findings.is_empty and not absent.is_proof(request):
            raise absent.error(request, seen, unseen=left.unseen)
        findings.missing = absent.ids(request, seen, (str(each.record["id"]) for each in left.events))
    return findings.report(more=first_ones.more or left.more, interrupted=stop.drain.is_set())


def _begun(records: Iterator[Record], first: Callable[[], Record | None]) -> Iterator[Record]:
    """Records of which another thread reads the first one; `first` waits for it."""
    if (record := first()) is not None:
        yield record
        yield from records


class _Limited:
    """The first elements, and whether there are more."""

    def __init__(self, elements: Iterator[Candidate], limit: int) -> None:
        self._elements, self.left = elements, limit
        self.more = False

    def __iter__(self) -> _Limited:
        return self

    def __next__(self) -> Candidate:
        element = next(self._elements)
        if not self.left:
            self.more = True
            raise StopIteration
        self.left -= 1
        return element


def _run(candidate: Candidate, text: str | None, texts: selection.Texts, spare: SimpleQueue[Interpreter]) -> Compared:
    record = candidate.record
    if why := selection.doubt(record, times.now_ms()):
        return compare.skipped(record, why)
    if text is None:
        return compare.skipped(record, "its text is archived no longer")
    if not _is_event(text, record):
        why = "its text is no event, which no code changes"
        return compare.skipped(record, why, message_id=candidate.message_id)
    result = texts.result(record) if record["status"] == "processed" else None
    kind = str(record.get("type", ""))
    job = Job(str(record["id"]), int(record["timestamp"]), kind, str(record.get("source", "queue")), text)
    interpreter = spare.get()
    try:
        ran = interpreter.run(job)
    finally:
        spare.put(interpreter)
    return replace(compare.compared(record, ran, result), message_id=candidate.message_id)


def _is_event(text: str, record: Record) -> bool:
    """Whether the pipeline takes the text as an event; another one dies whatever the processors do."""
    try:
        parse(text, Identity(str(record["id"]), int(record["timestamp"])))
    except InvalidEventError:
        return False
    return True


@contextmanager
def _interpreters(environment: Environment, allowed: Allowed) -> Iterator[tuple[SimpleQueue[Interpreter], Interpreter]]:
    """Interpreters with the packed code, which are started with their first event; and the first of them."""
    sources = processors.sources_of(environment)
    if sources is None:
        raise ConfigError(
            "There are no processors in this folder to rehearse.",
            hint="Name them as `path` under [processors] in rtp.toml.",
            code="processors",
        )
    entries = assets.entries(assets.check(sources))
    packages, _, _ = processors.available(environment, processors.requirements_of(environment))
    with tempfile.TemporaryDirectory(prefix="rtp-rehearse-", ignore_cleanup_errors=True) as folder:
        code = Path(folder, "code").resolve()
        archive.copy([*entries, *_program()], code)
        name = assets.module(sources)
        given, own = processors.variables(environment), environment.settings.environment
        withheld = () if allowed.variables else tuple(own)
        setting = Setting(
            code=code,
            module=code / name if (code / name).is_dir() else code / f"{name}.py",
            root=sources.root,
            packages=packages,
            variables={n: v for n, v in given.items() if n not in withheld} | dict(allowed.aws or {}),
            secrets=allowed.secrets,
            withheld=withheld,
            withheld_secrets=tuple(s for s in environment.settings.secrets if s not in allowed.secrets),
            limit_s=environment.settings.timeout_s,
            network=allowed.aws is not None,
        )
        count = max(1, min(_INTERPRETERS, os.cpu_count() or 1))
        all_of_them = [Interpreter(setting, Path(folder, f"scratch-{n}").resolve()) for n in range(count)]
        spare: SimpleQueue[Interpreter] = SimpleQueue()
        for interpreter in all_of_them:
            spare.put(interpreter)
        try:
            yield spare, all_of_them[0]
        finally:
            for interpreter in all_of_them:
                interpreter.close()


def _program() -> list[archive.Entry]:
    """The files of the child's program, beside the packed ones."""
    package = Path(guard.__file__).parent
    files = (package.parent / "__init__.py", package / "__init__.py", package / "child.py", package / "guard.py")
    return [(f"rtp/ops/{file.relative_to(package.parent).as_posix()}", file) for file in files]
