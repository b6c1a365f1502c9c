"""The history of an environment: the commands that changed it, read from rtp's own bucket, the newest first."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rtp.aws import history_objects, own_bucket
from rtp.aws.history_objects import END, Key
from rtp.errors import AwsError, NotFoundError, UsageError
from rtp.ops.access import process
from rtp.ops.work import pool
from rtp.text import suggest, times

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.aws import Aws
    from rtp.config import Environment

MISSING = "NoSuchBucket"
_READERS = 8
_NAMED = 5  # runs in a message


@dataclass(frozen=True, slots=True)
class Entry:
    """A command that changed an environment.

    run: its name. command: such as `dlq redrive`. at: when it began, by AWS's clock.
    outcome: succeeded, failed, refused, interrupted, running, or unfinished where no end was recorded.
    exit_code: null without an end. error: code of the error that ended it; empty without one.
    result: what it did, in a few words. duration_s: null without an end. reason: text of --reason.
    identity: ARN of the AWS identity. user: of the machine. host: name of the machine. job: address of the CI job.
    release: of the functions, empty where it is not known. rtp: its version.
    arguments: options and names that were given, without secrets.
    """

    run: str
    command: str
    at: str
    outcome: str
    exit_code: int | None = None
    error: str = ""
    result: str = ""
    duration_s: float | None = None
    reason: str = ""
    identity: str = ""
    user: str = ""
    host: str = ""
    job: str = ""
    release: str = ""
    rtp: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class History:
    """The commands that changed an environment.

    project, env: whose history this is. entries: the newest first.
    more: whether older ones exist in the time that was asked for.
    """

    project: str
    env: str
    entries: list[Entry]
    more: bool = False


def history(aws: Aws, environment: Environment, *, since: int | None, limit: int) -> History:
    """List the newest entries. since: epoch ms. Raises NotFoundError where the account has no bucket for them."""
    keys: list[Key] = []
    more = False
    for key in _newest(aws, environment):
        if since is not None and key.at < since:
            break
        if len(keys) == limit:
            more = True
            break
        keys.append(key)
    entries = [entry for entry in pool.map(lambda key: _read(aws, key), keys, threads=_READERS) if entry is not None]
    return History(environment.project, environment.name, entries, more)


def find(aws: Aws, environment: Environment, part: str) -> Entry:
    """The entry whose run has this name, or a name that begins or ends so. Raises NotFoundError, UsageError."""
    matching: list[Key] = []
    for key in _newest(aws, environment):
        if key.run == part:
            matching = [key]
            break
        if key.run.startswith(part) or key.run.endswith(part):
            matching.append(key)
    if len(matching) > 1:
        names = ", ".join(key.run for key in matching[:_NAMED])
        raise UsageError(
            f"{part} stands for {len(matching)} runs: {names}.", hint="Give more of the name.", code="ambiguous-id"
        )
    entry = _read(aws, matching[0]) if matching else None
    if entry is None:
        raise NotFoundError(
            f"The history of {environment.name} has no run {part}.", hint="`rtp history` lists the runs."
        )
    return entry


def _newest(aws: Aws, environment: Environment) -> Iterator[Key]:
    """A key for each run: that of its end where it has one."""
    last: Key | None = None
    try:
        for key in history_objects.keys(aws, history_objects.prefix(environment.project, environment.name)):
            if last is not None and last.run != key.run:
                yield last
            last = key
    except AwsError as error:
        if error.service_code != MISSING:
            raise
        if not aws.local:
            raise NotFoundError(
                f"There is no bucket {own_bucket.name(aws)}, so commands are not recorded in {aws.region}.",
                hint=suggest.sentence("Make it with {}.", suggest.command("rtp", "bootstrap", bucket_only=True)),
                code="no-history",
            ) from None
    if last is not None:
        yield last


def _read(aws: Aws, key: Key) -> Entry | None:
    """An entry; None where it has expired. Values of other types count as missing."""
    values = history_objects.read(aws, key)
    if values is None:
        return None

    def text(name: str) -> str:
        value = values.get(name)
        return value[:1000] if isinstance(value, str) else ""

    code, seconds, arguments = values.get("exit_code"), values.get("duration_s"), values.get("arguments")
    is_end = key.part == END
    return Entry(
        run=key.run,
        command=text("command") or "?",
        at=times.iso(key.at),
        outcome=(text("outcome") or "?") if is_end else _unfinished(values),
        exit_code=code if is_end and isinstance(code, int) else None,
        error=text("error"),
        result=text("result"),
        duration_s=float(seconds) if is_end and isinstance(seconds, int | float | Decimal) else None,
        reason=text("reason"),
        identity=text("identity"),
        user=text("user"),
        host=text("host"),
        job=text("job"),
        release=text("release"),
        rtp=text("rtp"),
        arguments=arguments if isinstance(arguments, dict) else {},
    )


def _unfinished(values: dict[str, Any]) -> str:
    """The outcome of a run without an end: whether it runs is known on its own machine alone."""
    pid = values.get("pid")
    if not isinstance(pid, int) or not values.get("machine") or values["machine"] != process.machine():
        return "unfinished"
    return "running" if process.started(pid) == values.get("started") else "unfinished"
