"""Records a command in the history: its start in the background, its end within a few seconds, or a warning."""

from __future__ import annotations

import os
import platform
import secrets
import time
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from rtp import __version__
from rtp.aws import history_objects, own_bucket
from rtp.aws.history_objects import END, START, Key
from rtp.errors import AwsError, RefusedError, RtpError
from rtp.ops.access import guard, process
from rtp.ops.access.lock import user
from rtp.ops.access.stack_lease import job
from rtp.ops.history import MISSING
from rtp.ops.work import background
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.aws import Aws
    from rtp.config import Environment

WAIT_S = 3.0  # how long a command waits at its end for the entry
_CLOCK_MS = 2_000  # AWS's answers have whole seconds
_MOST_CHARACTERS, _MOST_ELEMENTS = 200, 20
_OPTIONS = {"every": "all", "ids": "id", "types": "type", "statuses": "status"}  # field -> option, where they differ


class Run:
    """One command that is recorded. result, release: what is known of it at its end; the command sets them.

    Nothing is written to another account's history, nor where the account has no bucket for it.
    """

    def __init__(self, environment: Environment, command: str, arguments: dict[str, Any], reason: str | None) -> None:
        self.result, self.release = "", ""
        self._environment = environment
        self._name = secrets.token_hex(4)
        self._at, self._began = times.now_ms(), time.monotonic()
        pid = os.getpid()
        self._values: dict[str, Any] = {
            "command": command,
            "arguments": arguments,
            "reason": _short(reason or ""),
            "user": user(),
            "host": platform.node(),
            "job": job(os.environ),
            "rtp": __version__,
            "pid": pid,
            "started": process.started(pid),
            "machine": process.machine(),
        }
        self._aws: Aws | None = None
        self._key: Key | None = None
        self._error: RtpError | None = None
        self._wait_for_start: Callable[[], None] | None = None

    def begin(self, aws: Aws) -> None:
        """Write in the background that the command has begun. A second call does nothing."""
        if self._aws is None:
            self._aws = aws
            self._wait_for_start = background.start(self._write_start, aws).join

    def end(self, outcome: str, exit_code: int, error: str = "") -> str:
        """Write how the command ended. Returns a warning where that cannot be written, else an empty text."""
        if self._wait_for_start is None or self._aws is None:
            return ""
        values = {
            "outcome": outcome,
            "exit_code": exit_code,
            "error": error,
            "result": _short(self.result),
            "release": self.release,
            "duration_s": round(time.monotonic() - self._began, 3),
        }
        thread = background.start(self._write_end, self._aws, self._wait_for_start, values)
        thread.join(WAIT_S)
        if thread.is_alive():
            return f"whether the history has this command is not known: S3 did not answer within {WAIT_S:.0f} s"
        failure = self._error
        if failure is None or isinstance(failure, RefusedError):  # of another account, which the command says itself
            return ""
        if isinstance(failure, AwsError) and failure.service_code == MISSING:
            return ""
        return f"this command is not in the history: {failure.message.rstrip('.')}"

    def _write_start(self, aws: Aws) -> None:
        try:
            guard.account(aws, self._environment)
            self._values["identity"], now = history_objects.caller(aws)
            elapsed_ms = int((time.monotonic() - self._began) * 1000)
            if now is not None and abs(now - elapsed_ms - self._at) > _CLOCK_MS:
                self._at = now - elapsed_ms
            prefix = history_objects.prefix(self._environment.project, self._environment.name)
            self._key = key = Key(prefix, self._at, self._name, START)
            try:
                history_objects.write(aws, key, self._values)
            except AwsError as error:
                if error.service_code != MISSING or not aws.local:
                    raise
                own_bucket.create(aws)
                history_objects.write(aws, key, self._values)
        except RtpError as error:
            self._error = error

    def _write_end(self, aws: Aws, wait_for_start: Callable[[], None], values: dict[str, Any]) -> None:
        wait_for_start()
        if self._key is None or (isinstance(self._error, AwsError) and not self._error.passes):
            return
        self._error = None
        try:
            key = Key(self._key.prefix, self._key.at, self._key.run, END)
            history_objects.write(aws, key, self._values | values)
        except RtpError as error:
            self._error = error


def arguments(*given: Any) -> dict[str, Any]:
    """Options as an entry has them: fields of option groups that differ from their defaults, and items of dicts.

    The caller passes no secret. Long texts and lists are cut.
    """
    items: dict[str, Any] = {}
    for group in given:
        if is_dataclass(group) and not isinstance(group, type):
            values = {option.name: (getattr(group, option.name), option.default) for option in fields(group)}
            items |= {name: value for name, (value, default) in values.items() if value != default}
        else:
            items |= {name: value for name, value in group.items() if value not in (None, False, "")}
    return {_OPTIONS.get(name, name).replace("_", "-"): _plain(value) for name, value in items.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        shown = [_plain(element) for element in value[:_MOST_ELEMENTS]]
        return [*shown, f"and {len(value) - _MOST_ELEMENTS} more"] if len(value) > _MOST_ELEMENTS else shown
    return value if isinstance(value, bool | int | float) else _short(str(value))


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "…"
