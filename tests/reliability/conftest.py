"""A deployed pipeline for fault injection, the ledger of every event's outcome, and the table printed at the end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import objects, records
from rtp.contract import Output
from rtp.local import engine as engines
from rtp.local.patches.patch import QUEUE_PAUSE
from rtp.ops.events.identity import uuid7
from rtp.runtime import digest
from tests.local.conftest import Project, suite_weather
from tests.local.events.conftest import stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from rtp.aws import Aws
    from rtp.local.weather.choice import Weather

OUTAGE_S = 200 * 1.25
"""The longest pause after a failed call of AWS, with `max_receive_count` below, and a quarter more."""
FAULTY = Path(__file__).with_name("faulty.py")
SETTINGS = """\
[processors]
path = "processors"

[defaults]
max_receive_count = 4
backoff_base_s = 0
timeout_s = TIMEOUT
worker_concurrency = 4
key_rate = 10000
key_burst = 10000
throttle_rate = 10000
throttle_burst = 10000
daily_quota = 1000000
"""
PROCESSORS = '''\
"""`work` succeeds, `poison` fails, `slow` sleeps; the function's environment switches faults on."""

import time

from processors import faulty
from rtp.runtime import Event, Reject, processor, secret, secrets

VERSION = 1

faulty.install()


@processor("work")
def work(event: Event) -> dict:
    return {"n": event.data["n"], "version": VERSION}


@processor("poison")
def poison(event: Event) -> dict:
    if event.data["n"] % 2:
        raise Reject("odd poison")
    raise ValueError("even poison")


@processor("large")
def large(event: Event) -> dict:
    return {"text": "é" * (event.data["bytes"] // 2)}


@processor("secret")
def read_secret(event: Event) -> dict:
    secrets._declared.cache_clear()  # a value that was fetched before shows no permission
    return {"characters": len(secret("TOKEN"))}


@processor("slow")
def slow(event: Event) -> dict:
    time.sleep(float(event.data["seconds"]))
    return {}
'''


Content = tuple[str, str]
"""An event's id and the digest of its type and data: with another digest it is another event. Empty: any content."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The outcome of every event that was sent: each must be processed once, or dead with a message in the DLQ.

    Events are counted by identity and digest: two under one identity have an outcome each.
    """

    sent: int
    processed: int
    dead: int
    lost: list[Content]
    duplicated: list[Content]
    unexpected: list[Content]
    changed: list[Content]

    @property
    def holds(self) -> bool:
        """Whether every event has its outcome, and nothing else is there."""
        return not (self.lost or self.duplicated or self.unexpected or self.changed)


@dataclass
class Rig:
    """A pipeline, with what the tests do to it. sent: by id. others: with an id of these and other content."""

    project: Project
    sent: dict[str, dict[str, Any]] = field(default_factory=dict)
    others: list[dict[str, Any]] = field(default_factory=list)

    @cached_property
    def aws(self) -> Aws:
        return self.project.aws

    @cached_property
    def outputs(self) -> dict[str, str]:
        return self.project.outputs

    def begin(self) -> None:
        """Start a new ledger: forget the events sent so far, remove faults, and purge both queues."""
        self.sent.clear()
        self.others.clear()
        self.faults()
        for url in (Output.QUEUE_URL, Output.DLQ_URL):
            self.aws.call("sqs", "purge_queue", QueueUrl=self.outputs[url])

    def events(self, count: int, *, poison: float = 0, type: str = "work", **data: Any) -> list[dict[str, Any]]:
        """Create events. poison: the share of poison events."""
        every = round(1 / poison) if poison else 0
        return [
            {"id": uuid7(), "type": "poison" if every and n % every == 0 else type, "data": {"n": n, **data}}
            for n in range(count)
        ]

    def send(self, events: Iterable[dict[str, Any]]) -> None:
        """Send events to the queue. The ledger counts repeated events once."""
        entries: list[dict[str, Any]] = []
        for event in events:
            if self.sent.setdefault(event["id"], event) != event:
                self.others.append(event)
            entries.append({"Id": str(len(entries) % 10), "MessageBody": json.dumps(event)})
        for start in range(0, len(entries), 10):
            chunk = entries[start : start + 10]
            while chunk:
                answer = self.aws.call(
                    "sqs", "send_message_batch", QueueUrl=self.outputs[Output.QUEUE_URL], Entries=chunk
                )
                failed = {entry["Id"] for entry in answer.get("Failed", ()) if not entry["SenderFault"]}
                assert len(failed) == len(answer.get("Failed", ()))
                chunk = [entry for entry in chunk if entry["Id"] in failed]

    def depth(self) -> int:
        """Count the messages in the queue: visible, in flight and delayed."""
        return self._count("", "NotVisible", "Delayed")

    def visible(self) -> int:
        """Count the messages that a worker would receive now."""
        return self._count("")

    def _count(self, *parts: str) -> int:
        names = [f"ApproximateNumberOfMessages{part}" for part in parts]
        queue = self.outputs[Output.QUEUE_URL]
        counts = self.aws.call("sqs", "get_queue_attributes", QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(int(value) for value in counts.values())

    def drain(self, *, seconds: float = 120) -> None:
        """Wait until the queue is empty. A call that fails on a busy machine hides its message for up to 200 s more."""
        wait_for(lambda: self.depth() == 0, seconds=seconds + OUTAGE_S)

    def records(self) -> list[dict[str, Any]]:
        """Return all records."""
        return [
            records.item(i) for i in self.aws.pages("dynamodb", "scan", "Items", TableName=self.outputs[Output.TABLE])
        ]

    def dlq(self) -> Counter[str]:
        """Count the messages in the dead-letter queue by event id."""
        return Counter(json.loads(m.body)["id"] for m in stored(self.project, self.outputs[Output.DLQ_URL]))

    def ledger(self) -> Ledger:
        """Return the outcome of all events sent since `begin`."""
        pairs = [*self.sent.items(), *((event["id"], event) for event in self.others)]
        contents = {(id, _digest(event)): event for id, event in pairs}
        records = {(r["id"], r["timestamp"]): r for r in self.records() if r["id"] in self.sent}
        by_content = {self._content(r["id"], r.get("digest", "")): r for r in records.values()}
        processed = {content for content, r in by_content.items() if r["status"] == "processed"}
        dead = {
            self._content(body["id"], _digest(body))
            for m in stored(self.project, self.outputs[Output.DLQ_URL])
            if (body := json.loads(m.body, parse_float=Decimal))
        }
        times = Counter(id for id, _ in records)
        return Ledger(
            sent=len(contents),
            processed=len(processed),
            dead=len(dead & contents.keys()),
            lost=[c for c in contents if c not in processed and c not in dead],
            duplicated=[(i, "") for i, n in times.items() if n > 1] + [c for c in processed if c in dead],
            unexpected=[c for c in dead if c not in contents],
            changed=[
                c
                for c, r in by_content.items()
                if c not in contents or ("data" in r and r["data"] != contents[c]["data"])
            ],
        )

    def _content(self, id: str, of: str) -> Content:
        """What a record or a message is of. Of an event that was sent without a type any content is its own."""
        return id, of if "type" in self.sent.get(id, ()) else ""

    def raw_keys(self) -> set[str]:
        """Return the keys of all raw objects."""
        return set(objects.keys(self.aws, self.outputs[Output.BUCKET], "raw/"))

    def faults(self, **switches: str) -> None:
        """Set exactly these fault switches (FAULT_…) for the worker, from its next start."""
        name = self.outputs[Output.WORKER]
        configuration = self.aws.call("lambda", "get_function_configuration", FunctionName=name)
        variables = configuration["Environment"]["Variables"]
        others = {k: v for k, v in variables.items() if not k.startswith("FAULT_")}
        if others | switches != variables:
            self.aws.call(
                "lambda",
                "update_function_configuration",
                FunctionName=name,
                Environment={"Variables": others | switches},
            )

    def workers(self, function: str = Output.WORKER) -> list[int]:
        """Return the processes that run the worker, or the function of another output."""
        pids = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                folder = (entry / "cwd").readlink()
                name = f"ministack-lambda-{self.outputs[function]}"
                if name in str(folder) and folder.is_relative_to(self.project.root):
                    pids.append(int(entry.name))
        return pids

    @contextlib.contextmanager
    def killing(self, every: float, most: int) -> Iterator[list[int]]:
        """Kill a worker process every `every` seconds, at most `most` times. Yields the growing list of killed pids."""
        stop, killed = threading.Event(), list[int]()

        def kill() -> None:
            while not stop.wait(every) and len(killed) < most:
                for pid in self.workers()[:1]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)

        thread = threading.Thread(target=kill)
        thread.start()
        try:
            yield killed
        finally:
            stop.set()
            thread.join()


def wait_for(condition: Callable[[], object], *, seconds: float) -> None:
    """Wait until the condition holds; fail the test if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen in {seconds} s"
        time.sleep(0.2)


def _digest(event: Mapping[str, Any]) -> str:
    """The digest of an event, as the functions compute it; empty for an event without a type."""
    return digest.of_event(event["type"], event["data"]) if "type" in event else ""


@contextlib.contextmanager
def pipeline(
    root: Path,
    engine_env: Mapping[str, str] | None = None,
    *,
    timeout_s: int = 4,
    weather: Weather | None = None,
    enforce_iam: bool = False,
) -> Iterator[Rig]:
    """Deploy a pipeline by the CLI. engine_env: switches of the engine. weather: its weather.

    enforce_iam: the engine enforces permissions, and there is a secret.

    A killed worker's messages become visible after six times the timeout, so tests that kill use a short one.
    """
    enforced = '[env.local]\nenforce_iam = true\nsecrets = ["TOKEN"]\n' if enforce_iam else ""
    if enforce_iam:
        (root / ".env.local").write_text("TOKEN=12345\n")
    (root / "rtp.toml").write_text(SETTINGS.replace("TIMEOUT", str(timeout_s)) + enforced)
    (root / "processors").mkdir()
    (root / "processors" / "__init__.py").write_text(PROCESSORS)
    (root / "processors" / "faulty.py").write_text(FAULTY.read_text())
    project = Project(root)
    try:
        if engine_env or weather:
            engines.start(root, extra_env={QUEUE_PAUSE: "0", **(engine_env or {})}, weather=weather or suite_weather())
        project.rtp("deploy", "--yes")
        yield Rig(project)
    finally:
        engines.stop(root)


@pytest.fixture(scope="session")
def shared_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with pipeline(tmp_path_factory.mktemp("rig")) as rig:
        yield rig


@pytest.fixture
def rig(shared_rig: Rig) -> Rig:
    """The shared pipeline, with empty queues and no faults."""
    shared_rig.begin()
    return shared_rig


@pytest.fixture
def account(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Add a row to the table printed at the end, and fail the test if the ledger does not hold."""

    def enter(ledger: Ledger, faults: int, kind: str) -> None:
        row = [request.node.name, ledger.sent, f"{faults} {kind}", ledger.processed, ledger.dead]
        request.node.user_properties.append(("ledger", [*row, len(ledger.lost), len(ledger.duplicated)]))
        assert ledger.holds, ledger
        assert faults > 0, f"the test is void: there were no {kind}"

    return enter


def pytest_terminal_summary(terminalreporter: Any) -> None:
    rows = [
        value
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, ())
        for name, value in report.user_properties
        if name == "ledger"
    ]
    if rows:
        head = ["test", "events", "faults", "processed", "dead", "lost", "duplicated"]
        terminalreporter.section("ledger")
        for row in [head, *rows]:
            cells = [f"{row[0]:60}", f"{row[1]:>8}", f"{row[2]:>34}", *(f"{cell:>10}" for cell in row[3:])]
            terminalreporter.write_line("".join(cells))
    for report in terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", []):
        for line in dict(report.user_properties).get("figures", ()):
            terminalreporter.write_line(line)
