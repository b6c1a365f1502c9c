"""Signals at any moment of any command: it ends as a signal ends it, without a traceback, and the next run finishes."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rtp.aws import stacks
from rtp.local import engine as engines
from rtp.ops.events.identity import uuid7
from tests.local.conftest import Project
from tests.local.events.conftest import PROCESSORS, SETTINGS, Pipeline, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

STACK = "realtime-processor-local"
EVENTS = "events.ndjson"
# The commands, and how long they take at most before a signal comes, in seconds.
SAFE: dict[tuple[str, ...], float] = {
    ("send", EVENTS, "--via", "sqs", "--wait"): 0.8,
    ("send", EVENTS, "--concurrency", "4"): 0.8,
    ("dlq", "inspect", "--json"): 0.3,
    ("dlq", "redrive", "--all", "--no-canary", "--rate", "40"): 1.5,
    ("dlq", "redrive", "--all"): 0.6,
    ("dlq", "purge", "--all", "--yes"): 0.3,
    ("dlq", "undo", "--yes"): 0.3,
    ("replay", "--since", "1h", "--yes"): 0.3,
    ("logs", "--follow"): 1.0,
    ("traces",): 0.3,
    ("records", "--limit", "1000", "--json"): 0.3,
    ("status", "--watch"): 1.0,
    ("deploy", "--yes"): 3.0,
}
CYCLE: dict[tuple[str, ...], float] = {("destroy", "--yes"): 2.5, ("deploy", "--yes"): 4.0}
MOST = 5  # times as many trials as wanted, where signals come too late
ENDINGS = {0, 1, 4, 5}  # of a command that was over before its signal: a pipeline under all this has its troubles


@pytest.fixture
def interruption(tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline whose orders die until they are fixed."""
    project, flag = Project(tmp_path), tmp_path / "fixed"
    (tmp_path / "rtp.toml").write_text(SETTINGS)
    (tmp_path / "processors.py").write_text(PROCESSORS.replace("FLAG", repr(str(flag))))
    try:
        project.rtp("deploy", "--yes")
        yield Pipeline(project, flag)
    finally:
        engines.stop(tmp_path)


@pytest.mark.xdist_group("interrupts")
@pytest.mark.parametrize("trials", [10, pytest.param(80, marks=pytest.mark.reliability)])
def test_no_event_is_lost_to_a_signal(interruption: Pipeline, trials: int) -> None:
    """C22. An event that was ever there is somewhere afterwards, and is processed once when its cause is fixed."""
    dice = random.Random(22)  # noqa: S311 - moments of a signal
    commands = dice.sample(list(SAFE), len(SAFE))
    interruption.kill_orders(30)
    seen, hit = held(interruption), 0
    for trial in range(trials * MOST):
        if trial >= trials and hit > trials / 5:
            break
        args = commands[trial % len(commands)]
        events = [{"id": uuid7(), "type": "order.created", "data": {"n": n}} for n in range(40)]
        (interruption.project.root / EVENTS).write_text("".join(f"{json.dumps(e)}\n" for e in events))
        source = interruption.project.root / "processors.py"
        source.write_text(f"{source.read_text()}\n# trial {trial}\n")

        hit += interrupted(interruption.project, args, dice)

        if args[:2] == ("dlq", "purge"):  # what it has deleted is in its backup
            interruption.project.rtp("dlq", "undo", "--yes", ok=False)
        assert seen <= held(interruption), args
        seen |= held(interruption)
    assert hit > trials / 5
    # When the cause is fixed, each event that was ever there goes through, once
    interruption.fix()
    interruption.project.rtp("deploy", "--yes")
    wait_for(lambda: not interruption.queue, seconds=120)
    done = interruption.project.rtp("dlq", "redrive", "--all", "--no-canary", timeout=300)
    wait_for(lambda: not interruption.queue, seconds=120)
    assert not interruption.dlq, (done, interruption.dlq[:3], len(interruption.dlq))
    records = recorded(interruption)
    assert seen <= set(records)
    assert {records[i] for i in seen} == {("processed", 1)}


@pytest.mark.xdist_group("interrupts")
@pytest.mark.parametrize("trials", [2, pytest.param(20, marks=pytest.mark.reliability)])
def test_a_stack_converges_after_a_signal(interruption: Pipeline, trials: int) -> None:
    """C22. A deploy or a destroy that was broken off is finished by the next one."""
    dice = random.Random(23)  # noqa: S311 - moments of a signal
    hit = 0
    for trial in range(trials * MOST):
        if trial >= trials and hit > trials / 5:
            break
        args = list(CYCLE)[trial % 2]
        hit += interrupted(interruption.project, args, dice)
        finished = interruption.project.rtp(*args, ok=False)
        assert finished.code in {0, 4 if args[0] == "destroy" else 0}, finished  # 4: there is nothing left to do
        assert (stacks.describe(interruption.aws, STACK) is None) == (args[0] == "destroy")
    assert hit > trials / 5


def interrupted(project: Project, args: tuple[str, ...], dice: random.Random) -> bool:
    """Run a command and send it a signal at some moment. Whether it came in time; all that must hold, holds."""
    number = dice.choice((signal.SIGINT, signal.SIGTERM))
    child = project.start(*args)
    wait_for(lambda: handles(child.pid) or child.poll() is not None)  # before that, it is Python's own start
    in_time = False
    try:
        child.wait(dice.random() * (SAFE | CYCLE)[args])
    except subprocess.TimeoutExpired:
        child.send_signal(number)
        in_time = True
    out, err = child.communicate(timeout=60)
    assert "Traceback" not in err, err
    # Python gives its handlers back before it ends, and the signal itself then ends it: to a shell that is the same.
    ends = {128 + number, -number} if in_time else set()
    assert child.returncode in ENDINGS | ends, (args, number, out, err)
    assert not left(project), args
    return in_time and child.returncode == 128 + number


def handles(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM by now."""
    try:
        rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False
    caught = next((int(row.split()[1], 16) for row in rows if row.startswith("SigCgt:")), 0)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def left(project: Project) -> list[str]:
    """Processes of the project, beside its engine and the functions that this runs, that are still there."""
    deadline = time.monotonic() + 10
    while True:
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_text(errors="replace").replace("\0", " ")
                home = str((entry / "cwd").readlink())
            except OSError:
                continue
            if str(project.root) in f"{command} {home}" and not any(
                ours in command for ours in ("rtp.local.server", "ministack", "_worker")
            ):
                found.append(command)
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def recorded(interruption: Pipeline) -> dict[str, tuple[str, int]]:
    """Status of each event, and of how many records."""
    from rtp.aws import records
    from rtp.contract import Output

    found: dict[str, tuple[str, int]] = {}
    for item in interruption.aws.pages("dynamodb", "scan", "Items", TableName=interruption.outputs[Output.TABLE]):
        record = records.item(item)
        if "status" in record:
            event_id = str(record["id"])
            found[event_id] = (str(record["status"]), found.get(event_id, ("", 0))[1] + 1)
    return found


def held(interruption: Pipeline) -> set[str]:
    """Ids that are somewhere: in a queue, or processed."""
    waiting = {json.loads(m.body)["id"] for m in (*interruption.queue, *interruption.dlq)}
    return waiting | {i for i, (status, _) in recorded(interruption).items() if status == "processed"}
