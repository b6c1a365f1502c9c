"""A child interpreter that runs events one by one. One that hangs or ends is replaced by a new one."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rtp.ops.causes import Cause
from rtp.ops.stack.build.importing import PACKED, PASSED, refusal
from rtp.ops.work.clock import SYSTEM
from rtp.text import json_values
from rtp.trust import search_paths

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rtp.infra.layer import Here

_START_S = 180.0  # a compiled package such as pandas takes minutes on a machine that is busy
_END_S = 2.0  # for a child whose pipe is closed
_CHUNK = 65_536
# The folder of the code comes first, so that rtp.runtime is the packed one.
_BOOT = (
    PACKED
    + """
from rtp.ops.rehearse.child import main
main()
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What an interpreter runs, and what it may do.

    code: folder of the packed code; module: the processors in it; root: the folder that the code is from.
    variables, secrets: what processors get. withheld, withheld_secrets: names of what functions have beside that.
    limit_s: seconds for one event. network: whether connections are allowed.
    """

    code: Path
    module: Path
    root: Path
    packages: Here
    variables: Mapping[str, str]
    secrets: Mapping[str, str] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()
    withheld_secrets: tuple[str, ...] = ()
    limit_s: int
    network: bool = False


@dataclass(frozen=True, slots=True)
class Tried:
    """What a processor tried or asked for and did not get. kind: network, write, process, secret or variable."""

    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class Ran:
    """How an event ended in a rehearsal.

    outcome: processed, invalid, rejected, failed, timed-out, or ended where it ended the interpreter.
    type: of the event. result: as exact JSON. emitted: number of events by type. stack: the traceback.
    """

    outcome: str
    type: str
    result: Any = None
    cause: Cause | None = None
    emitted: Mapping[str, int] = field(default_factory=dict)
    tried: tuple[Tried, ...] = ()
    stack: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """An event to run. id, timestamp: of its record; type: of it, for an event that does not come back."""

    id: str
    timestamp: int
    type: str
    source: str
    text: str


class _EndedError(Exception):
    """The child has ended."""


class Interpreter:
    """Runs events in a child that is started with the first of them. Not for several threads at once.

    scratch: the folder that the processors may write to.
    """

    def __init__(self, setting: Setting, scratch: Path) -> None:
        self._setting = setting
        self._scratch = scratch
        self._child: subprocess.Popen[bytes] | None = None
        self._read = b""
        self.is_isolated = False
        self.tried_at_import: tuple[Tried, ...] = ()

    def start(self) -> None:
        """Start the child, and import the processors in it. Raises ConfigError where that fails."""
        self._child = self._spawn()
        module = self._setting.module.name
        try:
            # Not as an argument: every user of this machine can read the command line of a process.
            self._write(f"{json.dumps(dict(self._setting.secrets))}\n".encode(), _START_S)
            answer = self._answer(_START_S)
        except TimeoutError:
            self.close()
            raise refusal(f"importing {module} takes longer than {_START_S:.0f} s", "Fix it.") from None
        except _EndedError as error:
            raise refusal(f"importing {module} ended the interpreter ({error})", "Fix it.") from None
        self.is_isolated, self.tried_at_import = bool(answer["is_isolated"]), _tried(answer)
        if answer["problems"]:
            self.close()
            hint = "Fix it and repeat." if not self.tried_at_import else _hint(self.tried_at_import)
            raise refusal(self._as_written(str(answer["problems"][0])), hint)

    def run(self, job: Job) -> Ran:
        """Run an event. Raises ConfigError where the processors cannot be imported."""
        if self._child is None:
            self.start()
        text = json.dumps(
            {"id": job.id, "timestamp": job.timestamp, "source": job.source, "text": job.text}, ensure_ascii=True
        )
        limit = self._setting.limit_s
        try:
            self._write(f"{text}\n".encode(), limit)
            answer = self._answer(limit)
        except TimeoutError:
            self.close()
            return Ran("timed-out", job.type, cause=Cause("OutOfTimeError", f"no result within {limit} s"))
        except _EndedError as error:
            return Ran("ended", job.type, cause=Cause("Interrupted", f"the processor ended its interpreter ({error})"))
        failure = answer.get("error")
        return Ran(
            str(answer["outcome"]),
            str(answer["type"]),
            json_values.loads(answer["result"]),
            None
            if failure is None
            else Cause(failure["type"], failure["message"], failure["at"], failure["signature"]),
            answer["emitted"],
            _tried(answer),
            self._as_written(str(answer.get("stack", ""))),
        )

    def close(self) -> None:
        """End the child and what it has started."""
        if self._child is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._reap()

    def _spawn(self) -> subprocess.Popen[bytes]:
        setting, self._read = self._setting, b""
        self._scratch.mkdir(parents=True, exist_ok=True)
        given = {
            "code": str(setting.code),
            "module": str(setting.module),
            "packages": [str(path) for path in setting.packages.paths],
            "allowed": sorted(setting.packages.allowed),
            "site": [path for path in sys.path if path.endswith("-packages")],
            "withheld": setting.withheld,
            "withheld_secrets": setting.withheld_secrets,
            "scratch": str(self._scratch),
            "limit_s": setting.limit_s,
            "network": setting.network,
        }
        passed = {name: os.environ[name] for name in PASSED if name in os.environ}
        environ = search_paths.absolute(passed) | {
            "HOME": str(self._scratch),
            "TMPDIR": str(self._scratch),
            "LAMBDA_TASK_ROOT": str(setting.code),
            "AWS_ACCESS_KEY_ID": "rehearsal",
            "AWS_SECRET_ACCESS_KEY": "rehearsal",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",  # a connection that is refused once is refused again
            "RTP_REHEARSAL": "1",
            **setting.variables,
        }
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-c", _BOOT, json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environ,
            cwd=setting.code,
            start_new_session=True,  # Ctrl-C is for the command
            bufsize=0,
        )
        if child.stdin is not None:
            os.set_blocking(child.stdin.fileno(), False)
        return child

    def _write(self, data: bytes, seconds: float) -> None:
        pipe = self._child.stdin if self._child is not None else None
        deadline = SYSTEM.monotonic() + seconds
        while data and pipe is not None:
            _, ready, _ = select.select((), (pipe,), (), max(0.0, deadline - SYSTEM.monotonic()))
            if not ready:
                raise TimeoutError
            try:
                data = data[os.write(pipe.fileno(), data[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise _EndedError(self._reap()) from None

    def _answer(self, seconds: float) -> dict[str, Any]:
        """The child's next line. Raises TimeoutError and _EndedError."""
        pipe = self._child.stdout if self._child is not None else None
        deadline = SYSTEM.monotonic() + seconds
        parts = [self._read]
        while pipe is not None and b"\n" not in parts[-1]:
            ready, _, _ = select.select((pipe,), (), (), max(0.0, deadline - SYSTEM.monotonic()))
            if not ready:
                raise TimeoutError
            part = os.read(pipe.fileno(), _CHUNK)
            if not part:
                raise _EndedError(self._reap())
            parts.append(part)
        text, _, self._read = b"".join(parts).partition(b"\n")
        try:
            answer = json.loads(text)
        except ValueError:
            self.close()
            raise _EndedError("it wrote to the rehearsal's own pipe") from None
        return dict(answer)

    def _reap(self) -> str:
        """Wait for a child that has ended. Returns how it did."""
        child, self._child = self._child, None
        if child is None:
            return ""
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            code = child.wait(_END_S)
        except subprocess.TimeoutExpired:  # it has closed its pipe, and runs
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            code = child.wait()
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

    def _as_written(self, text: str) -> str:
        return text.replace(f"{self._setting.code}{os.sep}", f"{self._setting.root}{os.sep}")


def _tried(answer: Mapping[str, Any]) -> tuple[Tried, ...]:
    return tuple(Tried(kind, what) for kind, what in answer["tried"])


def _hint(tried: tuple[Tried, ...]) -> str:
    options = {"network": "--allow-network", "secret": "--with-secrets", "variable": "--with-variables"}
    needed = list(dict.fromkeys(options[each.kind] for each in tried if each.kind in options))
    what = ", ".join(f"{each.kind} {each.what}" for each in tried)
    return f"It asked for {what}. " + (f"Repeat with {', '.join(needed)}." if needed else "Do that in the processor.")
