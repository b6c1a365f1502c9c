"""The history of an environment: the commands that changed it, read from rtp's own bucket, the newest first."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

from rtp.aws import history_objects, objects, own_bucket
from rtp.aws.history_objects import END, Key
from rtp.errors import AwsError, NotFoundError, RtpError, UsageError
from rtp.ops.access import process
from rtp.ops.work import pool
from rtp.text import suggest, times
from rtp.text.given import MalformedError, is_finite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rtp.aws import Aws
    from rtp.config import Environment
    from rtp.text.given import Given

MISSING = "NoSuchBucket"
_READERS = 8
_NAMED = 5  # runs in a message
_LONGEST_S = 10**8  # three years


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
    more: whether older ones exist in the time that was asked for. unreadable: keys of objects in the bucket that are
    no entries of rtp: not JSON, or with values that rtp does not write.
    """

    project: str
    env: str
    entries: list[Entry]
    more: bool = False
    unreadable: list[str] = field(default_factory=list)


def history(aws: Aws, environment: Environment, *, since: int | None, limit: int) -> History:
    """List the newest entries. since: epoch ms. Raises NotFoundError where the account has no bucket for them."""
    keys: list[Key] = []
    others: list[str] = []
    more = False
    for key in _newest(aws, environment):
        if isinstance(key, str):
            others.append(key)
            continue
        if since is not None and key.at < since:
            break
        if len(keys) == limit:
            more = True
            break
        keys.append(key)
    read = _read_all(aws, keys)
    return History(
        environment.project,
        environment.name,
        [entry for entry in read if isinstance(entry, Entry)],
        more,
        [*(entry.key for entry in read if isinstance(entry, _Unreadable)), *others],
    )


def recent(
    aws: Aws, environment: Environment, *, first: int, most: int, is_enough: Callable[[Sequence[Entry]], bool]
) -> list[Entry]:
    """The newest entries: `first` of them, and as many again, up to `most`, until they are enough. Raises as `history`.

    Each entry is an object to read, so no more are read than are needed.
    """
    entries: list[Entry] = []
    keys = islice((key for key in _newest(aws, environment) if not isinstance(key, str)), most)
    while some := list(islice(keys, first)):
        entries += [entry for entry in _read_all(aws, some) if isinstance(entry, Entry)]
        if is_enough(entries):
            break
    return entries


def find(aws: Aws, environment: Environment, part: str) -> Entry:
    """The entry whose run has this name, or a name that begins or ends so. Raises NotFoundError, UsageError."""
    matching: list[Key] = []
    for key in _newest(aws, environment):
        if isinstance(key, str):
            continue
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
    if isinstance(entry, _Unreadable):
        raise RtpError(
            f"s3://{own_bucket.name(aws)}/{entry.key} is no entry of the history: {entry.why}.",
            hint="It is damaged, or rtp did not write it; CloudTrail's data events have who did, where they are on.",
            code="unreadable-entry",
        )
    if entry is None:
        raise NotFoundError(
            f"The history of {environment.name} has no run {part}.", hint="`rtp history` lists the runs."
        )
    return entry


def _newest(aws: Aws, environment: Environment) -> Iterator[Key | str]:
    """A key for each run: that of its end where it has one. A text for an object that is no entry by its name."""
    last: Key | None = None
    try:
        for key in history_objects.keys(aws, history_objects.prefix(environment.project, environment.name)):
            if isinstance(key, str):
                yield key
                continue
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


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """An object under a key of the history that is no entry. why: after a colon. error: where S3 does not give it."""

    key: str
    why: str
    error: AwsError | None = None


def _read_all(aws: Aws, keys: Sequence[Key]) -> list[Entry | _Unreadable | None]:
    """Read entries. Raises AwsError where reading them is denied altogether, and not one of them."""
    read = list(pool.map(lambda key: _read(aws, key), keys, threads=_READERS))
    denied = [entry.error for entry in read if isinstance(entry, _Unreadable) and entry.error is not None]
    if denied and len(denied) == len(read) and denied[0].code == "access-denied":
        raise denied[0]
    return read


def _read(aws: Aws, key: Key) -> Entry | _Unreadable | None:
    """An entry; None where it has expired."""
    try:
        values = history_objects.read(aws, key)
        return None if values is None else _entry(key, values)
    except MalformedError as error:
        return _Unreadable(key.text, str(error))
    except AwsError as error:
        if not objects.is_of_one(error):
            raise
        return _Unreadable(key.text, error.message.rstrip("."), error)


def _entry(key: Key, values: Given) -> Entry:
    """Raises MalformedError."""
    is_end = key.part == END

    def text(name: str) -> str:
        return values.text(name, "", most=1000)

    return Entry(
        run=key.run,
        command=values.text("command", most=100),
        at=times.iso(key.at),
        outcome=values.text("outcome", most=100) if is_end else _unfinished(values),
        exit_code=values.integer("exit_code", least=0, most=255) if is_end else None,
        error=text("error"),
        result=text("result"),
        duration_s=values.number("duration_s", most=_LONGEST_S) if is_end else None,
        reason=text("reason"),
        identity=text("identity"),
        user=text("user"),
        host=text("host"),
        job=text("job"),
        release=text("release"),
        rtp=text("rtp"),
        arguments=_arguments(values),
    )


def _arguments(values: Given) -> dict[str, Any]:
    """The arguments: simple values, and lists of them. Raises MalformedError."""
    given = values.member("arguments", {}).values
    for value in given.values():
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, str | int | float | Decimal) or not (isinstance(each, str) or is_finite(each)):
                raise MalformedError("arguments has a value that no command is given")
    return given


def _unfinished(values: Given) -> str:
    """The outcome of a run without an end: whether it runs is known on its own machine alone. Raises MalformedError."""
    machine, pid, started = values.text("machine", ""), values.integer("pid", 0), values.text("started", "")
    if not machine or machine != process.machine():
        return "unfinished"
    return "running" if started and process.started(pid) == started else "unfinished"
