"""The throw-away environment: a project in a temporary folder, on which the real CLI runs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rtp.aws import Aws, queues, records, stacks
from rtp.aws.api import key
from rtp.contract import Output
from rtp.ops.events.identity import uuid7

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_POLL_S = 2.0
_REPEATS = 2  # of a request to the API
_ENDING_S = 1800
_TEXT = 1_800  # characters in a variable of each function, with which the template is too large for a request
PROCESSORS = '''\
"""Processors of the account check."""

from rtp.runtime import Event, Reject, processor, secret


@processor("check.ok")
def succeed(event: Event) -> dict:
    return {"n": event.data.get("n", 0)}


@processor("check.reject")
def reject(event: Event) -> dict:
    raise Reject("asked to reject")


@processor("check.fail")
def fail(event: Event) -> dict:
    raise RuntimeError("asked to fail")


@processor("check.secret")
def use(event: Event) -> dict:
    return {"characters": len(secret("CHECK_TOKEN"))}
'''


class CheckError(Exception):
    """A step's expectation does not hold."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Stdout as a JSON document."""
        return json.loads(self.stdout)


@dataclass
class Throwaway:
    """A pipeline that exists for the check alone. account: None on the local engine. sent: number of events."""

    folder: Path
    project: str
    region: str
    profile: str | None
    account: str | None
    sent: int = 0
    progress: Callable[[str], None] = field(default=lambda _: None)

    @property
    def env(self) -> str:
        """The environment's name in rtp.toml."""
        return "local" if self.account is None else "check"

    @property
    def stack(self) -> str:
        """The stack's name."""
        return f"{self.project}-{self.env}"

    def write(self, processors: str = PROCESSORS, **settings: object) -> None:
        """Write the project's files. settings: of the environment."""
        place = {"region": self.region}
        if self.account is not None:
            place |= {"account": self.account, **({"profile": self.profile} if self.profile else {})}
        values = {"max_receive_count": 2, "backoff_base_s": 0, "secrets": ["CHECK_TOKEN"], **place, **settings}
        lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
        lines.append(f'environment = {{ CHECK_TEXT = "{"x" * _TEXT}" }}')
        head = [f'project = "{self.project}"', f'default_env = "{self.env}"', "[processors]", 'path = "processors.py"']
        (self.folder / "rtp.toml").write_text("\n".join([*head, f"[env.{self.env}]", *lines]) + "\n")
        (self.folder / "processors.py").write_text(processors)

    def rtp(
        self,
        *words: str,
        stdin: str = "",
        codes: tuple[int, ...] = (0,),
        environ: Mapping[str, str] | None = None,
        during: Callable[[], object] | None = None,
    ) -> Finished:
        """Run a command to its end. during: called again and again while it runs. Raises CheckError.

        Ctrl-C ends the command as Ctrl-C at its own terminal would, and waits for it.
        """
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RTP_")}
        with (self.folder / "stdout").open("w+") as out, (self.folder / "stderr").open("w+") as err:
            child = subprocess.Popen(
                [sys.executable, "-m", "rtp", *words],
                cwd=self.folder,
                env=clean | {"NO_COLOR": "1"} | dict(environ or {}),
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                text=True,
                start_new_session=True,
            )
            try:
                assert child.stdin is not None  # noqa: S101 - stdin=PIPE
                with contextlib.suppress(BrokenPipeError):
                    child.stdin.write(stdin)
                    child.stdin.close()
                while during is not None and child.poll() is None:
                    during()
                    time.sleep(_POLL_S)
                child.wait(_ENDING_S)
            except BaseException:
                with uninterrupted(self.progress, f"waiting for rtp {words[0]} to end"):
                    _end(child)
                raise
            finished = Finished(child.returncode, *(_content(stream) for stream in (out, err)))
        if finished.code not in codes or "Traceback" in finished.stderr:
            reason = (finished.stderr or finished.stdout).strip()[-600:]
            raise CheckError(f"rtp {' '.join(words)} ended with {finished.code}: {reason}")
        return finished

    @cached_property
    def aws(self) -> Aws:
        """The account or the engine, to look behind the CLI."""
        if self.account is not None:
            return Aws(region=self.region, profile=self.profile)
        from rtp.local import engine

        running = engine.require(self.folder)
        return Aws(region=self.region, endpoint_url=running.endpoint_url, local=True, keys=running.keys)

    @cached_property
    def outputs(self) -> Mapping[str, str]:
        """The stack's outputs."""
        return stacks.deployed(self.aws, self.stack, stacks.describe(self.aws, self.stack)).outputs

    def post(self, path: str, body: str | bytes, **headers: str) -> tuple[int, Any]:
        """POST a body to the API. headers: with `_` for `-`. Returns the status and the parsed body.

        Repeats a request that gets no answer, 429, 500 or 503, up to three attempts. Raises CheckError for no answer.
        """
        import urllib3

        from rtp.aws.api import url

        self.sent += 1
        sent = {"Content-Type": "application/json", "x-api-key": key(self.aws, self.outputs).value}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        address = url(self.outputs, self.aws) + path
        passing = urllib3.Retry(
            _REPEATS, status_forcelist=(429, 500, 503), allowed_methods=None, backoff_factor=0.5, raise_on_status=False
        )
        try:
            answer = urllib3.PoolManager(retries=passing, timeout=60).request("POST", address, body=body, headers=sent)
        except urllib3.exceptions.HTTPError as error:
            raise CheckError(f"no answer to POST {path}: {error}") from error
        try:
            return answer.status, json.loads(answer.data)
        except ValueError:
            return answer.status, answer.data.decode(errors="replace")

    def queue(self, *events: Mapping[str, Any]) -> list[str]:
        """Send events to the queue; returns their ids. Raises CheckError."""
        ids = [uuid7() for _ in events]
        bodies = [json.dumps({"id": id, **event}) for id, event in zip(ids, events, strict=True)]
        messages = [queues.Outgoing(body, {}) for body in bodies]
        receipts = queues.send(self.aws, self.outputs[Output.QUEUE_URL], messages)
        if errors := [receipt.error for receipt in receipts if receipt.error]:
            raise CheckError(f"SQS refused {len(errors)} of {len(ids)} messages: {errors[0]}")
        self.sent += len(ids)
        return ids

    def records(self, id: str) -> list[dict[str, Any]]:
        """All records of an event id."""
        name = self.outputs[Output.TABLE]
        condition, values = "id = :id", {":id": {"S": id}}
        items = self.aws.pages(
            "dynamodb",
            "query",
            "Items",
            TableName=name,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            ConsistentRead=True,
        )
        return [records.item(item) for item in items]

    def ended(self, id: str, *, seconds: float = 300) -> dict[str, Any]:
        """Wait until an event is processed or dead; returns its record. Raises CheckError."""

        def record() -> dict[str, Any] | None:
            return next((r for r in self.records(id) if r["status"] in ("processed", "dead")), None)

        final: dict[str, Any] = until(record, seconds=seconds, what=f"event {id} has a final record")
        return final


def until(condition: Callable[[], Any], *, seconds: float, what: str) -> Any:
    """The first true value of a condition. Raises CheckError after `seconds`, with what was waited for."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise CheckError(f"within {seconds:g} s it did not happen that {what}")
        time.sleep(_POLL_S)
    return value


@contextlib.contextmanager
def uninterrupted(progress: Callable[[str], None], activity: str) -> Iterator[None]:
    """Answer Ctrl-C with a line, and go on, while the block runs."""
    before = signal.signal(signal.SIGINT, lambda *_: progress(f"{activity}; an interrupt now would leave resources"))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end(child: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGINT)
    try:
        child.wait(_ENDING_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _content(stream: Any) -> str:
    stream.seek(0)
    return str(stream.read())
