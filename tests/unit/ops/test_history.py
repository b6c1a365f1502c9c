"""The history: what an entry says, in what order entries are read, and that writing one fails no command."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import typer

from rtp import __version__
from rtp.aws import history_objects, release_objects
from rtp.aws.history_objects import END, START, Key
from rtp.commands.history import _list
from rtp.commands.recorded import recorded
from rtp.commands.watch_loop import changes_stack
from rtp.config.environments import resolve
from rtp.errors import AwsError, MissingError, NotFoundError, RefusedError, RtpError, UsageError
from rtp.ops import history, history_run
from rtp.ops.access import process
from rtp.ops.stack.deploy import FIRST_PHASE
from rtp.ops.stack.options import Options
from rtp.ops.stack.steps import Phase, Result
from rtp.text import json_values, times
from tests.unit.deploy.bucket import Bucket, lost, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rtp.config import Environment

ARN = "arn:aws:sts::111122223333:assumed-role/Deployer/ann"
PREFIX = "history/shop/prod/"


class World(Bucket):
    """The account of the bucket, and what a command warned of."""

    arn = ARN

    def connected(self, *, local: bool = False, account: str = "111122223333") -> Any:
        aws = self.aws(
            local=local,
            list_objects_v2=self.listed,
            get_caller_identity=lambda **_: {"Account": account, "Arn": self.arn, **self.dated()},
        )
        aws.account = account
        return aws

    def dated(self) -> dict[str, Any]:
        from email.utils import formatdate

        return {"ResponseMetadata": {"HTTPHeaders": {"date": formatdate(self.now, usegmt=True)}}}

    def listed(self, Prefix: str, **_: Any) -> dict[str, Any]:
        if not self.exists:
            raise MissingError("no bucket", service_code="NoSuchBucket")
        return {"Contents": [{"Key": key} for key in sorted(self.objects) if key.startswith(Prefix)]}


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    text = 'project = "shop"\n[env.prod]\naccount = "111122223333"\nregion = "us-east-1"\n'
    (tmp_path / "rtp.toml").write_text(text)
    return resolve(cwd=tmp_path, environ={"RTP_ENV": "prod"})


class Session:
    """What `recorded` uses of a session."""

    def __init__(self, environment: Environment, aws: Any) -> None:
        self.environment, self.aws = environment, aws
        self.warnings: list[str] = []
        self.out = SimpleNamespace(warn=self.warnings.append)


def record(
    environment: Environment, world: World, command: str = "deploy", *, error: BaseException | None = None, **more: Any
) -> list[str]:
    """Record one command. Returns the warnings."""
    session = Session(environment, world.connected(**more))
    given: Any = session
    try:
        with recorded(given, command, {"drain": True}, reason="ticket 7") as run:
            run.result = "updated"
            if error is not None:
                raise error
    except BaseException as raised:
        if raised is not error:
            raise
    return session.warnings


def listing(environment: Environment, world: World, since: int | None = None, limit: int = 20) -> history.History:
    return history.history(world.connected(), environment, since=since, limit=limit)


def test_an_entry_says_who_from_where_why_and_how_it_ended(environment: Environment) -> None:
    world = World()
    assert record(environment, world) == []
    (entry,) = listing(environment, world).entries
    assert (entry.command, entry.outcome, entry.exit_code, entry.result) == ("deploy", "succeeded", 0, "updated")
    assert (entry.identity, entry.reason, entry.arguments) == (ARN, "ticket 7", {"drain": True})
    assert entry.user and entry.host and entry.duration_s is not None
    assert entry.rtp == __version__
    # And its time is AWS's, whatever this machine's clock says
    assert abs(times.parse_when(entry.at) - world.now * 1000) < 60_000
    # And `history show` has it, by a part of its name
    assert history.find(world.connected(), environment, entry.run[:6]) == entry


@pytest.mark.parametrize(
    ("error", "outcome", "code", "name"),
    [
        (RtpError("no", code="deploy-failed"), "failed", 1, "deploy-failed"),
        (RefusedError("no", code="locked"), "refused", 5, "locked"),
        (typer.Exit(6), "failed", 6, ""),
        (typer.Exit(130), "interrupted", 130, ""),
        (typer.Abort(), "interrupted", 130, ""),
        (KeyboardInterrupt(), "interrupted", 130, ""),
        (ValueError("a defect"), "failed", 1, ""),
    ],
    ids=["failed", "refused", "timed out", "interrupted", "aborted", "Ctrl-C", "defect"],
)
def test_how_a_command_ends(environment: Environment, error: BaseException, outcome: str, code: int, name: str) -> None:
    world = World()
    record(environment, world, error=error)
    (entry,) = listing(environment, world).entries
    assert (entry.outcome, entry.exit_code, entry.error) == (outcome, code, name)


def test_the_newest_is_first_and_a_limit_or_a_start_ends_the_list(environment: Environment) -> None:
    world = World()
    for command in ("deploy", "dlq redrive", "destroy"):
        record(environment, world, command)
        world.now += 100
    assert [e.command for e in listing(environment, world).entries] == ["destroy", "dlq redrive", "deploy"]
    two = listing(environment, world, limit=2)
    assert [e.command for e in two.entries] == ["destroy", "dlq redrive"] and two.more
    assert not listing(environment, world, limit=3).more
    since = listing(environment, world, since=int((world.now - 150) * 1000))
    assert [e.command for e in since.entries] == ["destroy"] and not since.more


def test_older_entries_are_read_until_they_are_enough(environment: Environment) -> None:
    world = World()
    for n in range(130):
        world.now += 10
        record(environment, world, "deploy" if n == 15 else "dlq redrive")

    def found(most: int) -> list[history.Entry]:
        def has_deploy(entries: Sequence[history.Entry]) -> bool:
            return any(entry.command == "deploy" for entry in entries)

        return history.recent(world.connected(), environment, first=60, most=most, is_enough=has_deploy)

    assert len(found(300)) == 120 and found(300)[114].command == "deploy"
    assert len(found(100)) == 100
    world.objects.clear()
    assert found(300) == []


def test_another_environment_s_entries_are_not_listed(environment: Environment) -> None:
    world = World()
    for other in ("history/shop/prod-eu/", "history/shop-prod/x/"):
        history_objects.write(world.connected(), Key(other, 1, "abcd", END), GOOD)
    assert listing(environment, world) == history.History("shop", "prod", [])


def start(world: World, run: str, **values: Any) -> None:
    history_objects.write(world.connected(), Key(PREFIX, 5, run, START), {"command": "deploy", **values})


def test_a_command_without_an_end_runs_or_is_unfinished(environment: Environment) -> None:
    world, me = World(), os.getpid()
    here = {"machine": process.machine(), "pid": me, "started": process.started(me)}
    start(world, "aaaa", **here)
    start(world, "bbbb", **{**here, "started": "another time"})
    start(world, "cccc", **{**here, "machine": "another"})
    outcomes = {e.run: (e.outcome, e.exit_code, e.duration_s) for e in listing(environment, world).entries}
    assert outcomes == {
        "aaaa": ("running", None, None),
        "bbbb": ("unfinished", None, None),
        "cccc": ("unfinished", None, None),
    }


GOOD: dict[str, Any] = {"command": "deploy", "outcome": "succeeded", "exit_code": 0, "duration_s": 1.5}
LONG = "9" * 400
HOSTILE = {
    "no UTF-8": b"\xff",
    "no text": b"",
    "a list": b"[]",
    "null": b"null",
    "cut": b'{"command": "dep',
    "too large": json.dumps({**GOOD, "reason": "x" * 70_000}).encode(),
    "deep": b'{"arguments":' * 5000 + b"1" + b"}" * 5000,
    "command of another type": b'{"command": 3, "exit_code": "x", "arguments": 7}',
    "without its command": json.dumps({**GOOD, "command": None}).encode(),
    "without its outcome": json.dumps({**GOOD, "outcome": None}).encode(),
    "an exit code that is true": json.dumps({**GOOD, "exit_code": True}).encode(),
    "an exit code of 400 digits": json.dumps({**GOOD, "exit_code": 0}).replace(": 0", f": {LONG}").encode(),
    "a number of 5,000 digits": json.dumps({**GOOD, "exit_code": 0}).replace(": 0", ": " + "9" * 5000).encode(),
    "a duration beyond floats": json.dumps(GOOD).replace("1.5", "1e400").encode(),
    "a duration of 400 digits": json.dumps(GOOD).replace("1.5", LONG).encode(),
    "an infinite duration": json.dumps(GOOD).replace("1.5", "Infinity").encode(),
    "a duration that is no number": json.dumps(GOOD).replace("1.5", "NaN").encode(),
    "a negative duration": json.dumps(GOOD).replace("1.5", "-1").encode(),
    "arguments that are a list": json.dumps({**GOOD, "arguments": [1]}).encode(),
    "nested arguments": json.dumps({**GOOD, "arguments": {"a": {"b": 1}}}).encode(),
    "arguments that are no number": b'{"arguments": {"a": NaN}, ' + json.dumps(GOOD).encode()[1:],
    "a result that is a number": json.dumps({**GOOD, "result": 7}).encode(),
}


def test_objects_with_other_names_are_named_and_the_others_are_listed(environment: Environment) -> None:
    world = World()
    record(environment, world)
    odd = [f"{PREFIX}{name}" for name in ("", "x\x1b[2J", "../x", "a\nb", "--yes", "9" * 13 + "-x.c-other.json")]
    for key in odd:
        world.objects[key] = (b"{}", "e", world.now)
    listed = listing(environment, world, limit=5)
    assert [entry.command for entry in listed.entries] == ["deploy"] and sorted(listed.unreadable) == sorted(odd)
    assert history.find(world.connected(), environment, listed.entries[0].run) == listed.entries[0]


def test_the_numbers_of_releases_beside_the_entries_are_no_odd_object(environment: Environment) -> None:
    world = World()
    record(environment, world)
    release_objects.write_names(world.connected(), environment.project, environment.name, b"{}")
    assert [key for key in world.objects if "releases" in key]
    assert listing(environment, world, limit=5).unreadable == []


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_an_object_that_is_no_entry_is_named_and_the_others_are_listed(environment: Environment, body: bytes) -> None:
    world = World()
    record(environment, world, "destroy")
    key = Key(PREFIX, 5, "abad", END).text
    world.objects[key] = (body, '"x"', world.now)
    others = [f"{PREFIX}notes.txt", f"{PREFIX}{'9' * 400}-abad.{END}.json"]
    world.objects |= dict.fromkeys(others, (b"", '"x"', world.now))
    # Then the list has what is an entry, on the terminal and as JSON
    listed = listing(environment, world)
    assert [e.command for e in listed.entries] == ["destroy"]
    assert sorted(listed.unreadable) == sorted([key, *others])
    assert _list(listed, None) and json.loads(json_values.dumps(listed))
    # And the object itself is an error that names it
    with pytest.raises(RtpError, match="is no entry of the history") as caught:
        history.find(world.connected(), environment, "abad")
    assert caught.value.code == "unreadable-entry" and key in caught.value.message


@pytest.mark.parametrize("pid", [0, -1, LONG, True, "1", 10**12], ids=["0", "-1", "text", "true", "1", "large"])
def test_a_start_that_names_no_process_is_not_running(environment: Environment, pid: Any) -> None:
    world = World()
    start(world, "aaaa", machine=process.machine(), pid=pid, started="")
    listed = listing(environment, world)
    assert [e.outcome for e in listed.entries] in ([], ["unfinished"])
    assert len(listed.entries) + len(listed.unreadable) == 1


def test_an_archived_entry_is_named(environment: Environment) -> None:
    world = World()
    start(world, "aaaa")
    world.before = lambda name: fail(refusal("InvalidObjectState")) if name == "get_object" else None
    assert len(listing(environment, world).unreadable) == 1


@dataclass
class Refusing(World):
    """S3 lists every object and does not give out those that another key encrypts."""

    refused: dict[str, AwsError] = field(default_factory=dict)

    def _get(self, Key: str, **more: Any) -> dict[str, Any]:
        if Key in self.refused:
            raise self.refused[Key]
        return super()._get(Key, **more)


@pytest.mark.parametrize(
    "code", ["AccessDenied", "InvalidRequest", "KMS.DisabledException", "KMS.KMSInvalidStateException"]
)
def test_an_entry_that_a_key_of_others_encrypts_hides_no_other(environment: Environment, code: str) -> None:
    world = Refusing()
    record(environment, world)
    key = Key(PREFIX, 5, "abad", END).text
    world.objects[key] = (b"{}", '"x"', world.now)
    error = AwsError("s3 get_object: no", code="access-denied" if code == "AccessDenied" else None, service_code=code)
    world.refused[key] = error
    listed = listing(environment, world)
    assert [e.command for e in listed.entries] == ["deploy"] and listed.unreadable == [key]
    with pytest.raises(RtpError) as caught:
        history.find(world.connected(), environment, "abad")
    assert caught.value.code == "unreadable-entry" and key in caught.value.message
    # But who may read none of them learns that
    world.refused = dict.fromkeys(world.objects, AwsError("no", code="access-denied", service_code="AccessDenied"))
    with pytest.raises(AwsError):
        listing(environment, world)


def fail(error: BaseException) -> None:
    raise error


def test_an_entry_that_expires_between_list_and_read_is_left_out(environment: Environment) -> None:
    world = World()
    record(environment, world)
    world.before = lambda name: world.objects.clear() if name == "get_object" else None
    assert listing(environment, world).entries == []


def test_an_answer_that_was_lost_after_the_write_is_no_failure(environment: Environment) -> None:
    world = World(lose={"put_object"})
    assert record(environment, world) == [] and not world.lose
    assert len(listing(environment, world).entries) == 1


def test_an_entry_is_written_once(environment: Environment) -> None:
    world = World()
    record(environment, world)
    before = dict(world.objects)
    key = next(key for key in before if END in key)
    history_objects.write(world.connected(), Key(PREFIX, *_parts(key), END), {"command": "forged"})
    assert world.objects == before


def _parts(key: str) -> tuple[int, str]:
    number, _, rest = key.removeprefix(PREFIX).partition("-")
    return 10**13 - int(number), rest.partition(".")[0]


def test_without_the_bucket_a_command_says_nothing_and_history_says_how_to_make_it(environment: Environment) -> None:
    world = World(exists=False)
    assert record(environment, world) == []
    with pytest.raises(NotFoundError) as caught:
        listing(environment, world)
    assert caught.value.code == "no-history" and "`rtp bootstrap --bucket-only`" in caught.value.hint
    assert history.history(world.connected(local=True), environment, since=None, limit=1).entries == []


def fails(world: World, error: AwsError, *, times: int = 99) -> None:
    """Let the next writes fail."""
    calls: list[str] = []

    def before(name: str) -> None:
        if name == "put_object":
            calls.append(name)
            if len(calls) <= times:
                raise error

    world.before = before


@pytest.mark.parametrize("error", [refusal("AccessDenied"), lost()], ids=["denied", "no answer"])
def test_a_command_whose_entry_cannot_be_written_ends_as_it_would_and_warns(
    environment: Environment, error: AwsError
) -> None:
    world = World()
    fails(world, error)
    (warning,) = record(environment, world)
    assert warning.startswith("this command is not in the history: ")
    fails(world, error)
    assert len(record(environment, world, error=RtpError("its own"))) == 1


def test_a_start_that_met_a_fault_of_the_network_has_its_end_recorded(environment: Environment) -> None:
    world = World()
    fails(world, lost(), times=1)
    assert record(environment, world) == []
    assert [e.outcome for e in listing(environment, world).entries] == ["succeeded"]


def test_nothing_is_written_to_another_account(environment: Environment) -> None:
    world = World()
    assert record(environment, world, account="444455556666") == []
    assert world.objects == {}


def test_a_command_that_never_reached_aws_is_not_recorded(environment: Environment) -> None:
    world = World()
    session: Any = Session(environment, world.connected())
    with recorded(session, "deploy", Options(), later=True):
        pass
    assert world.objects == {}


def test_arguments_are_what_says_something_and_are_cut(tmp_path: Path) -> None:
    given = history_run.arguments(
        Options(hotswap=True, rollback=False, outputs_file=tmp_path),
        {"ids": [f"e{n}" for n in range(30)], "text": "x" * 999, "watch": False},
    )
    assert given["hotswap"] is True and given["outputs-file"] == str(tmp_path) and given["rollback"] is False
    assert (
        "dry-run" not in given
        and given["id"][-2:] == ["e19", "and 10 more"]
        and len(given["text"]) == 201
        and "watch" not in given
    )
    json.dumps(given)


def test_a_part_of_a_name_that_several_have_is_refused(environment: Environment) -> None:
    world = World()
    start(world, "abcd1111")
    start(world, "abcd2222")
    with pytest.raises(UsageError, match="abcd stands for 2 runs"):
        history.find(world.connected(), environment, "abcd")
    assert history.find(world.connected(), environment, "2222").run == "abcd2222"
    with pytest.raises(NotFoundError, match="no run zzzz"):
        history.find(world.connected(), environment, "zzzz")


def test_of_a_watch_the_saves_that_change_the_stack_are_recorded() -> None:
    assert not changes_stack(Phase(FIRST_PHASE)) and not changes_stack(Result("unchanged", "s", 1.0))
    assert changes_stack(Phase("updating the functions")) and changes_stack(Result("hotswapped", "s", 1.0))
