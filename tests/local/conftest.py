"""The embedded engine and a deployed project for a whole test session; both gone at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import recording
from rtp.local import engine as engines
from rtp.local.patches.patch import QUEUE_PAUSE
from rtp.local.weather.choice import Weather
from tests import assemblies, forks, json_documents, recorded_calls
from tests.local import deployments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from rtp.aws import Aws


def suite_weather() -> Weather | None:
    """The weather of every engine of these tests, by the seed in RTP_TEST_WEATHER; None without it."""
    seed = os.environ.get("RTP_TEST_WEATHER")
    return Weather(int(seed)) if seed else None


def is_count(number: int, expected: int) -> bool:
    """Whether a number of attempts or messages is the expected one. Under weather there may be more.

    A call whose answer is lost is repeated after it has had its effect, and standard queues deliver more than once.
    """
    return number == expected or (suite_weather() is not None and number > expected)


@dataclass(frozen=True, slots=True)
class Finished:
    """What one run of the CLI left: exit code, stdout, stderr."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Stdout as the one JSON document it should be."""
        return json.loads(self.stdout)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Stdout as a stream: a JSON object a line."""
        return [json.loads(line) for line in self.stdout.splitlines()]


@dataclass(frozen=True, slots=True)
class Project:
    """A project folder of its own, in which the real CLI runs in a child process. started: commands beside the test."""

    root: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list, compare=False, repr=False)

    def rtp(
        self,
        *args: str | Path,
        stdin: str | bytes = "",
        env: Mapping[str, str] | None = None,
        timeout: float = 180,
        ok: bool = True,
    ) -> Finished:
        """Run `rtp ARGS` to its end. ok: fail the test when it does not exit with 0."""
        calls = self.root.parent / f"calls-{uuid.uuid4().hex}"
        words = [str(each) for each in args]
        assemblies.lend(self.root, words)
        done = forks.run(
            words,
            stdin=stdin.encode() if isinstance(stdin, str) else stdin,
            cwd=self.root,
            environ={recording.VARIABLE: str(calls)} | self.environ(env),
            timeout=timeout,
        )
        finished = Finished(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert not ok or finished.code == 0, f"rtp {args}: {finished.code}\n{finished.stdout}\n{finished.stderr}"
        assert "Traceback" not in finished.stderr, finished.stderr
        assemblies.take(self.root, words)
        recorded_calls.check(words, calls)
        json_documents.check(words, finished.stdout)
        return finished

    def start(self, *args: str | Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Run `rtp ARGS` beside the test, for follow, watch and interrupts. The test ends it."""
        assemblies.lend(self.root, [str(each) for each in args])
        beside = subprocess.Popen(
            self.argv(*args),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.root,
            env=self.environ(env),
        )
        self.started.append(beside)
        return beside

    def end_started(self) -> None:
        """End the commands that a test which failed has left."""
        while self.started:
            beside = self.started.pop()
            if beside.poll() is None:
                beside.kill()
                beside.communicate()

    def argv(self, *args: str | Path) -> list[str]:
        """The command line of the CLI."""
        return [sys.executable, "-m", "rtp", *map(str, args)]

    def environ(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """This process's environment without what would lead rtp elsewhere."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RTP_"))}
        weather = suite_weather()
        if weather is not None:
            clean["RTP_WEATHER"] = str(weather.seed)
        # The tests of one pipeline purge its queues more often than once a minute, and make a deleted one again.
        return clean | {"NO_COLOR": "1", QUEUE_PAUSE: "0"} | dict(extra or {})

    @property
    def engine(self) -> engines.Engine:
        """The project's running engine."""
        return engines.require(self.root)

    @property
    def aws(self) -> Aws:
        """The engine, for a test that looks behind the CLI."""
        from rtp.aws import Aws

        aws = Aws(region="us-east-1", endpoint_url=self.engine.endpoint_url, local=True, keys=self.engine.keys)
        aws.consistent = self.engine.weather is None
        return aws

    @property
    def outputs(self) -> dict[str, str]:
        """The deployed stack's outputs."""
        from rtp.aws import stacks

        stack = "realtime-processor-local"
        return stacks.deployed(self.aws, stack, stacks.describe(self.aws, stack)).outputs


@pytest.fixture(scope="session")
def engine_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project folder that the engine belongs to."""
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="session")
def engine(engine_root: Path) -> Iterator[engines.Engine]:
    """A running engine on a free port."""
    running = engines.start(engine_root, weather=suite_weather())
    yield running
    engines.stop(engine_root)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty project of one test; its engine, where the test started one, is stopped at the end."""
    made = Project(tmp_path)
    yield made
    engines.stop(made.root)


PROCESSORS = '''\
"""The processors of the shared test pipeline, one per outcome."""

import time

from rtp.runtime import Event, Reject, processor


@processor("order.created")
def enrich(event: Event) -> dict:
    return {"total_cents": round(event.data["total"] * 100)}


@processor("test.fail")
def fail(event: Event) -> dict:
    raise RuntimeError(event.data.get("message", "told to fail"))


@processor("test.reject")
def reject(event: Event) -> dict:
    raise Reject(event.data.get("message", "told to reject"))


@processor("test.slow")
def slow(event: Event) -> dict:
    time.sleep(float(event.data.get("seconds", 1)))
    return {}
'''

# Retries in quick succession, so that a poisoned event is dead within seconds.
SETTINGS = """\
[processors]
path = "processors.py"

[defaults]
max_receive_count = 2
backoff_base_s = 0
timeout_s = 10
"""


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A pipeline deployed by the real CLI, shared by the session: tests use it and do not change its stack.

    Event types: order.created (total -> total_cents), test.fail, test.reject, test.slow; others are stored as is.
    """
    made = Project(tmp_path_factory.mktemp("deployed"))
    (made.root / "rtp.toml").write_text(SETTINGS)
    (made.root / "processors.py").write_text(PROCESSORS)
    try:
        deployments.deploy(made)
        yield made
    finally:
        engines.stop(made.root)
