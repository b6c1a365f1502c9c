"""A signal at any moment of any command ends it without a traceback, and the next run finishes."""

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
# Command -> the longest time before its signal, in seconds.
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
    ("deploy", "--yes"): 1.5,
}
CYCLE: dict[tuple[str, ...], float] = {("destroy", "--yes"): 2.5, ("deploy", "--yes"): 2.0}
MOST = 5  # times the number of trials, if signals come too late
ENDINGS = {0, 1, 4, 5}  # of a command that ended before its signal; it may fail on what the earlier ones left


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline whose orders fail until the flag exists."""
    project, flag = Project(tmp_path), tmp_path / "fixed"
    (tmp_path / "rtp.toml").write_text(SETTINGS)
    (tmp_path / "processors.py").write_text(PROCESSORS.replace("FLAG", repr(str(flag))))
    try:
        project.rtp("deploy", "--yes")
        yield Pipeline(project, flag)
    finally:
        engines.stop(tmp_path)


@pytest.mark.xdist_group("interrupts")
@pytest.mark.parametrize("trials", [5, pytest.param(80, marks=pytest.mark.reliability)])
def test_no_event_is_lost_to_a_signal(failing: Pipeline, trials: int) -> None:
    """C22. Every accepted event is in a queue or processed, and is processed once when the cause is fixed."""
    dice = random.Random(22)  # noqa: S311 - moments of a signal
    commands = dice.sample(list(SAFE), len(SAFE))
    failing.kill_orders(30)
    accepted, hit = present(failing), 0
    for trial in range(trials * MOST):
        if trial >= trials and hit > trials / 5:
            break
        args = commands[trial % len(commands)]
        events = [{"id": uuid7(), "type": "order.created", "data": {"n": n}} for n in range(40)]
        (failing.project.root / EVENTS).write_text("".join(f"{json.dumps(e)}\n" for e in events))
        source = failing.project.root / "processors.py"
        source.write_text(f"{source.read_text()}\n# trial {trial}\n")

        hit += interrupted(failing.project, args, dice)

        if args[:2] == ("dlq", "purge"):  # the deleted messages are in its backup
            failing.project.rtp("dlq", "undo", "--yes", ok=False)
        assert accepted <= present(failing), args
        accepted |= present(failing)
    assert hit > trials / 5
    # When the cause is fixed, each accepted event is processed once
    failing.fix()
    failing.project.rtp("deploy", "--yes")
    wait_for(lambda: not failing.queue, seconds=120)
    done = failing.project.rtp("dlq", "redrive", "--all", "--no-canary", timeout=300)
    wait_for(lambda: not failing.queue, seconds=120)
    assert not failing.dlq, (done, failing.dlq[:3], len(failing.dlq))
    records = recorded(failing)
    assert accepted <= set(records)
    assert {records[i] for i in accepted} == {("processed", 1)}


@pytest.mark.xdist_group("interrupts")
@pytest.mark.parametrize("trials", [2, pytest.param(20, marks=pytest.mark.reliability)])
@pytest.mark.long
def test_a_stack_converges_after_a_signal(failing: Pipeline, trials: int) -> None:
    """C22. The next deploy or destroy finishes an interrupted one."""
    dice = random.Random(23)  # noqa: S311 - moments of a signal
    hit = 0
    for trial in range(trials * MOST):
        if trial >= trials and hit > trials / 5:
            break
        args = list(CYCLE)[trial % 2]
        hit += interrupted(failing.project, args, dice)
        finished = failing.project.rtp(*args, ok=False)
        assert finished.code in {0, 4 if args[0] == "destroy" else 0}, finished  # 4: there is no stack any more
        assert (stacks.describe(failing.aws, STACK) is None) == (args[0] == "destroy")
    assert hit > trials / 5


def interrupted(project: Project, args: tuple[str, ...], dice: random.Random) -> bool:
    """Run a command, send a signal at a random moment, and check the end. Returns whether the signal was in time."""
    number = dice.choice((signal.SIGINT, signal.SIGTERM))
    child = project.start(*args)
    wait_for(lambda: handles(child.pid) or child.poll() is not None)  # before that, Python is still starting
    in_time = False
    try:
        child.wait(dice.random() * (SAFE | CYCLE)[args])
    except subprocess.TimeoutExpired:
        child.send_signal(number)
        in_time = True
    out, err = child.communicate(timeout=180)
    assert "Traceback" not in err, err
    # Python restores its handlers before it ends, so the signal itself may end it; a shell sees the same code.
    ends = {128 + number, -number} if in_time else set()
    assert child.returncode in ENDINGS | ends, (args, number, out, err)
    assert not leftovers(project), args
    return in_time and child.returncode == 128 + number


def handles(pid: int) -> bool:
    """Whether the process has installed a handler for SIGTERM."""
    try:
        rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False
    caught = next((int(row.split()[1], 16) for row in rows if row.startswith("SigCgt:")), 0)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def leftovers(project: Project) -> list[str]:
    """Return processes of the project that are still running, except its engine and the engine's functions."""
    deadline = time.monotonic() + 60
    while True:
        commands = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_text(errors="replace").replace("\0", " ")
                home = str((entry / "cwd").readlink())
            except OSError:
                continue
            if str(project.root) in f"{command} {home}" and not any(
                ours in command for ours in ("rtp.local.server", "ministack", "_worker")
            ):
                commands.append(command)
        if not commands or time.monotonic() > deadline:
            return commands
        time.sleep(0.1)


def recorded(failing: Pipeline) -> dict[str, tuple[str, int]]:
    """Return the status of each event and its number of records."""
    from rtp.aws import records
    from rtp.contract import Output

    recorded_events: dict[str, tuple[str, int]] = {}
    for item in failing.aws.pages("dynamodb", "scan", "Items", TableName=failing.outputs[Output.TABLE]):
        record = records.item(item)
        if "status" in record:
            event_id = str(record["id"])
            recorded_events[event_id] = (str(record["status"]), recorded_events.get(event_id, ("", 0))[1] + 1)
    return recorded_events


def present(failing: Pipeline) -> set[str]:
    """Return the ids of events that are in a queue or processed."""
    waiting = {json.loads(m.body)["id"] for m in (*failing.queue, *failing.dlq)}
    return waiting | {i for i, (status, _) in recorded(failing).items() if status == "processed"}
