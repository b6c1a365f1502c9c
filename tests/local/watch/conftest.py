"""Events whose stories the tests watch, and a terminal to watch them on."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from rtp.ops.events.identity import uuid7

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.conftest import Project

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Sent:
    """An event that was sent: its id and its trace."""

    id: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class Story:
    """A processed event, one that was rejected, and one that failed until it was dead."""

    good: Sent
    rejected: Sent
    dead: Sent


def send(project: Project, kind: str, data: str, *options: str) -> Sent:
    """Send one event through the CLI, whatever becomes of it."""
    event_id = uuid7()
    payload = f'{{"id": "{event_id}", "type": "{kind}", "data": {data}}}'
    done = project.rtp("send", "-", "--json", *options, stdin=payload, ok=False)
    return Sent(event_id, done.json["trace_id"])


def until(look: Callable[[], _T], *, seconds: float = 180) -> _T:
    """What `look` returns once that is true; fails when it is not in time."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


@pytest.fixture(scope="session")
def story(deployed: Project) -> Story:
    """All three, over."""
    made = Story(
        good=send(deployed, "order.created", '{"total": 3}'),
        rejected=send(deployed, "test.reject", '{"message": "not for us"}'),
        dead=send(deployed, "test.fail", '{"message": "it is broken"}', "--via", "events"),
    )
    until(lambda: lines_of(deployed, made.dead, "ERROR"))
    return made


def lines_of(project: Project, sent: Sent, *level: str) -> list[dict[str, object]]:
    """The log lines of an event."""
    options = ("--level", *level) if level else ()
    return project.rtp("logs", "--json", "--id", sent.id, *options).lines


def send_many(project: Project, count: int, *options: str) -> list[str]:
    """Send so many good events with one command; their ids."""
    ids = [uuid7() for _ in range(count)]
    lines = "\n".join(f'{{"id": "{i}", "type": "order.created", "data": {{"total": 1}}}}' for i in ids)
    project.rtp("send", "-", "--json", *options, stdin=lines)
    return ids


def followed(
    tail: subprocess.Popen[str],
    enough: Callable[[list[dict[str, Any]]], bool],
    *,
    after_s: float = 2,
    most_s: float = 180,
) -> tuple[list[dict[str, Any]], str]:
    """What a follower writes until that is enough, and for a while after; then Ctrl-C. Its lines and its talk."""
    seen: list[dict[str, Any]] = []
    assert tail.stdout is not None
    reader = threading.Thread(target=lambda: seen.extend(json.loads(line) for line in tail.stdout or ()), daemon=True)
    reader.start()
    try:
        until(lambda: enough(seen), seconds=most_s)
        time.sleep(after_s)  # for what must not come, such as a line twice
        tail.send_signal(signal.SIGINT)
        tail.wait(180)
        reader.join(5)
        assert tail.stderr is not None
        return seen, tail.stderr.read()
    finally:
        tail.kill()
        tail.wait()
        tail.stdout.close()
        if tail.stderr is not None:
            tail.stderr.close()


@dataclass(frozen=True, slots=True)
class Screen:
    """What a command wrote to its terminal, and its exit code."""

    text: str
    code: int


def on_terminal(
    project: Project, *args: str, columns: int = 80, rows: int = 24, interrupt_after: tuple[str, int] | None = None
) -> Screen:
    """Run `rtp ARGS` on a terminal of its own; Ctrl-C is pressed once a text has come up so many times."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    env = project.environ({"TERM": "xterm-256color", "COLUMNS": "", "LINES": ""})
    env = {k: v for k, v in env.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
    process = subprocess.Popen(
        project.argv(*args), stdin=follower, stdout=follower, stderr=follower, cwd=project.root, env=env
    )
    os.close(follower)
    began, pressed, seen = time.monotonic(), False, b""
    while True:
        ready, _, _ = select.select([leader], [], [], 0.1)
        if ready:
            try:
                part = os.read(leader, 65536)
            except OSError:
                break
            if not part:
                break
            seen += part
        if (
            interrupt_after is not None
            and not pressed
            and seen.count(interrupt_after[0].encode()) >= interrupt_after[1]
        ):
            process.send_signal(signal.SIGINT)
            pressed = True
        assert time.monotonic() - began < 120, seen
    with contextlib.suppress(OSError):
        os.close(leader)
    return Screen(seen.decode(errors="backslashreplace"), process.wait(180))
