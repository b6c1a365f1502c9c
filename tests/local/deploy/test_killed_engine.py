"""The engine killed in the middle of a command: it and the next one say so, and the fix that they name works."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from rtp.local import process
from rtp.local.state import folder
from tests.local import deployments
from tests.local.conftest import PROCESSORS, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.local.conftest import Project

COUNT = 4


def killed_during(project: Project, *args: str, when: Callable[[], bool]) -> str:
    """Run a command and kill the engine once `when` is true. Returns stderr; the command has failed and says why."""
    child = project.start(*args)
    deadline = time.monotonic() + 120
    while not when() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert child.poll() is None, child.communicate()
    kill(project)
    _, stderr = child.communicate(timeout=120)
    assert child.returncode == 1, stderr
    assert "The command did not finish. The local engine was killed" in " ".join(stderr.split())
    assert "Traceback" not in stderr and "may be" not in stderr  # the stack is as it was saved
    # And until a start, every command says it
    for command in ("status", "destroy"):
        done = project.rtp(command, "--json", ok=False)
        assert (done.code, done.json["error"]["code"]) == (4, "engine-killed")
    return " ".join(stderr.split())


def configure(project: Project) -> None:
    """Write a project whose engine saves at a stop alone."""
    (project.root / "rtp.toml").write_text(f"{SETTINGS}\n[env.local]\nsave_every_s = 0\n")
    (project.root / "processors.py").write_text(PROCESSORS)


def test_after_a_kill_in_the_first_deploy_the_next_deploy_is_complete(project: Project) -> None:
    # Given an engine killed during the first deploy
    configure(project)

    def has_begun() -> bool:
        record = folder(project.root).record()
        return record is not None and (folder(project.root).live / "s3").is_dir()

    assert "its data is lost" in killed_during(project, "deploy", "--yes", when=has_begun)
    # When it is deployed again / Then it is complete
    assert project.rtp("deploy", "--yes", "--json").lines[-1]["status"] == "created"


@pytest.mark.long
def test_after_a_kill_in_a_redrive_each_message_is_redriven_from_the_save(project: Project) -> None:
    configure(project)
    deployments.deploy(project)
    # Given dead events that are saved, and an engine killed when a redrive has sent the first of them
    events = "\n".join(json.dumps({"type": "test.fail", "data": {"n": n}}) for n in range(COUNT))
    project.rtp("send", "-", "--via", "events", "--wait", stdin=events, ok=False)
    project.rtp("local", "stop")
    project.rtp("local", "start")

    def has_sent() -> bool:  # the journal is in rtp's own bucket
        return any(has_step(path, "sent") for path in (folder(project.root).live / "s3").rglob("*.jsonl"))

    killed_during(project, "dlq", "redrive", "--all", "--yes", "--no-canary", "--rate", "0.5", when=has_sent)
    # When the engine is started again, and the messages redriven
    project.rtp("deploy", "--yes")
    assert in_dlq(project) == COUNT
    project.rtp("dlq", "redrive", "--all", "--yes", "--no-canary", "--wait", ok=False)
    # Then each was sent again, and died again: what the killed redrive sent is not in the restored queue
    deadline = time.monotonic() + 180
    while in_dlq(project) < COUNT and time.monotonic() < deadline:
        time.sleep(0.5)
    assert in_dlq(project) == COUNT


@pytest.mark.long
def test_after_a_kill_the_events_before_the_last_save_are_there_and_a_destroy_begins_again(project: Project) -> None:
    configure(project)
    deployments.deploy(project)
    # Given events that are sent, an engine that saves, and a save after them
    project.rtp("local", "stop")
    project.rtp("local", "start", "--save-every", "1")
    events = "\n".join(json.dumps({"type": "note", "data": {"n": n}}) for n in range(COUNT))
    project.rtp("send", "-", "--via", "events", "--wait", stdin=events)
    notes = processed_notes(project)
    assert len(notes) == COUNT
    sent = datetime.now(UTC).replace(microsecond=0)
    deadline = time.monotonic() + 180
    while saved_at(project) <= sent and time.monotonic() < deadline:
        assert processed_notes(project) == notes  # requests, without which there is nothing to save
    saved = saved_at(project)
    assert saved > sent
    # When the engine is killed and started again
    kill(project)
    started = project.rtp("local", "start", "--save-every", "0", "--json")
    # Then the events are there, and the start says from when
    assert started.json["data_lost"] and "since its last save, of 20" in started.stderr
    assert datetime.fromisoformat(started.json["saved"]) >= saved
    assert processed_notes(project) == notes
    project.rtp("send", "--type", "note", "-d", "{}", "--via", "events", "--wait")

    # Given an engine killed during a destroy / When the commands of its fix are run / Then the stack is gone
    def is_emptied() -> bool:
        return not any("raw" in path.parts for path in (folder(project.root).live / "s3").rglob("*.gz"))

    assert not is_emptied()
    killed_during(project, "destroy", "--yes", when=is_emptied)
    project.rtp("local", "start")
    assert project.rtp("destroy", "--yes", "--json").lines[-1]["status"] == "destroyed"


def kill(project: Project) -> None:
    """Kill the engine."""
    record = folder(project.root).record()
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    process.wait_gone(record.pid, record.started, 20)


def saved_at(project: Project) -> datetime:
    """When the engine's data was saved last."""
    saved = project.rtp("local", "status", "--json").json["saved"]
    assert saved is not None, "a stop has saved it"
    return datetime.fromisoformat(saved)


def processed_notes(project: Project) -> set[str]:
    """Ids of the processed events of the type note."""
    records = project.rtp("records", "--status", "processed", "--json").json["records"]
    return {record["id"] for record in records if record["type"] == "note"}


def has_step(path: Path, step: str) -> bool:
    with suppress(FileNotFoundError):  # the engine replaces its files
        return any(f'"step": "{step}"' in line for line in path.read_text().splitlines())
    return False


def in_dlq(project: Project) -> int:
    return len(project.rtp("dlq", "inspect", "--json", ok=False).json["messages"])
