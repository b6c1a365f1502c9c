"""The lease of a stack: one deploy or destroy at a time, from any machine. A second one is refused with the holder.

The lease is an object in rtp's own bucket. Only S3's times are compared, never a machine's clock.
CloudFormation runs one operation of a stack at a time. The lease also covers the steps before and after that operation.
"""

from __future__ import annotations

import os
import platform
import secrets
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.aws import lease_objects, own_bucket
from rtp.errors import AwsError, CredentialsError, RefusedError, RtpError
from rtp.ops.access import process
from rtp.ops.access.lock import user
from rtp.ops.work import background
from rtp.ops.work.clock import SYSTEM, Clock
from rtp.text import suggest, times
from rtp.text.given import Given, MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rtp.aws import Aws
    from rtp.aws.lease_objects import Stored, Written

LASTS_S = 300.0  # how long a killed run on another machine blocks the others
RENEW_S = 30.0
_LONGEST_S = 3600  # what a lease may say that it lasts
_RELEASE_S = 3.0  # an interrupt waits no longer than this; then the lease ends by itself
_TRIES, _PAUSE_S = 5, 0.3
_COMMANDS = ("deploy", "destroy", "rollback")
_MISSING = "NoSuchBucket"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a lease. since, until: epoch ms by S3's clock. job: address of a CI job.

    unreadable: why a lease names nobody: it is damaged, or rtp did not write it. It then lasts as long as any other.
    """

    user: str
    host: str
    pid: int
    started: str
    machine: str
    job: str
    what: str
    since: int
    until: int
    unreadable: str = ""

    @classmethod
    def of(cls, stored: Stored) -> Holder:
        """Read the holder from a lease."""
        try:
            values = Given(stored.values or None)

            def text(key: str, otherwise: str | None = "") -> str:
                return values.text(key, otherwise, most=200)

            return cls(
                text("user", None),
                text("host", None),
                values.integer("pid", least=1),
                text("started"),
                text("machine"),
                text("job"),
                text("what", None),
                values.integer("since", stored.written),
                stored.written + 1000 * values.integer("lasts_s", least=1, most=_LONGEST_S),
            )
        except MalformedError as error:
            until = stored.written + int(LASTS_S * 1000)
            return cls("", "", 0, "", "", "", "", stored.written, until, str(error))

    @property
    def has_ended(self) -> bool:
        """Whether its process is known to have ended: it ran on this machine."""
        return process.has_ended(self.machine, self.pid, self.started)

    @property
    def description(self) -> str:
        """The holder in words."""
        if self.unreadable:
            return f"a lease that rtp cannot read ({self.unreadable}), written {times.recent(self.since)}"
        command = suggest.command("rtp", self.what) if self.what in _COMMANDS else suggest.literal("rtp")
        text = suggest.sentence("{} of ", command) + f"{self.user}@{self.host} (process {self.pid})"
        return f"{text} since {times.recent(self.since)}{f', {self.job}' if self.job else ''}"


class Lease:
    """The lease of a stack that this run has. Any number of threads may use it."""

    def __init__(self, aws: Aws, stack: str, what: str, clock: Clock = SYSTEM) -> None:
        self._aws, self._stack, self._clock = aws, stack, clock
        self._token = secrets.token_hex(16)
        pid = os.getpid()
        self._values: dict[str, Any] = {
            "token": self._token,
            "what": what,
            "user": user(),
            "host": platform.node() or "?",
            "pid": pid,
            "started": process.started(pid),
            "machine": process.machine(),
            "job": job(os.environ),
            "lasts_s": int(LASTS_S),
        }
        self._renewals = 0
        self._etag = ""
        self._confirmed_s = 0.0
        self._lost_to = ""
        self._lock = threading.Lock()

    def acquire(self) -> None:
        """Write the lease if there is none or the last one has ended. Raises RefusedError that names the holder."""
        for attempt in range(_TRIES):
            if attempt:
                self._clock.sleep(_PAUSE_S * attempt)
            if self._write(""):
                return
            stored = lease_objects.read(self._aws, self._stack)
            if stored is None:
                continue  # released meanwhile
            if self._is_ours(stored):  # the write was carried out, and its answer lost
                return
            holder = Holder.of(stored)
            if holder.until > stored.now and not holder.has_ended:
                raise self._taken(holder)
            if self._write(stored.etag):
                return
        raise RefusedError(
            f"Several commands want to change {self._stack} at this moment; nothing was changed.",
            hint="Repeat the command.",
            code="locked",
        )

    def check(self) -> None:
        """Renew the lease before a change of the stack begins. Raises RefusedError where the lease is lost."""
        try:
            self.renew()
        except RtpError:
            if time.time() - self._confirmed_s > LASTS_S:  # another run may have it
                raise
        if self._lost_to:
            raise RefusedError(
                f"The lease of {self._stack} went to {self._lost_to}, so this command stopped there.",
                hint="This run did not renew it for minutes, as on a machine that sleeps. "
                "Repeat the command when the other has ended.",
                code="lease-lost",
            )

    def renew(self) -> bool:
        """Renew the lease; False where another run has it. Raises AwsError where S3 does not answer."""
        with self._lock:
            if self._lost_to:
                return False
            if self._write(self._etag):
                return True
            stored = lease_objects.read(self._aws, self._stack)
            if stored is None:  # deleted by hand, or with the bucket, which was made again
                if self._write(""):
                    return True
                stored = lease_objects.read(self._aws, self._stack)
            if stored is not None and self._is_ours(stored):
                return True
            self._lost_to = Holder.of(stored).description if stored is not None else "another command"
            return False

    def release(self) -> None:
        """Delete the lease, unless it is another run's by now. Raises AwsError; the lease then ends by itself."""
        with self._lock:
            if self._lost_to or lease_objects.delete(self._aws, self._stack, self._etag):
                return
            stored = lease_objects.read(self._aws, self._stack)
            if stored is not None and self._is_ours(stored):  # a renewal whose answer was lost
                lease_objects.delete(self._aws, self._stack, self._etag)

    def _write(self, instead_of: str) -> bool:
        self._renewals += 1  # gives each version another ETag
        values = {**self._values, "renewals": self._renewals}
        written = lease_objects.write(self._aws, self._stack, values, instead_of=instead_of)
        if written is not None:
            self._note(written)
        return written is not None

    def _note(self, written: Written, age_ms: int = 0) -> None:
        self._etag, self._confirmed_s = written.etag, time.time() - age_ms / 1000
        self._values.setdefault("since", written.at)

    def _is_ours(self, stored: Stored) -> bool:
        """Whether a lease is this run's; its version then is the one to renew."""
        if stored.values.get("token") != self._token:
            return False
        self._note(lease_objects.Written(stored.etag, stored.written), stored.now - stored.written)
        return True

    def _taken(self, holder: Holder) -> RefusedError:
        if holder.unreadable:
            place = f"s3://{own_bucket.name(self._aws)}/{lease_objects.key(self._stack)}"
            return RefusedError(
                f"{place} is a lease that rtp cannot read: {holder.unreadable}. Nothing was changed.",
                hint=f"It is damaged, or another program wrote it. It ends at {times.recent(holder.until)} by itself: "
                f"repeat the command then. If it comes back, find out who writes it.",
                code="unreadable-lease",
            )
        return RefusedError(
            f"{self._stack} is being changed by {holder.description}; nothing was changed.",
            hint="Wait until that has ended, then repeat the command. "
            f"If it was killed, its lease ends at {times.recent(holder.until)}.",
            code="locked",
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """Permission to change a stack. lease: None where there can be none.

    note: that there is no bucket for it. warning: that the bucket cannot be used.
    """

    lease: Lease | None = None
    note: str = ""
    warning: str = ""


@contextmanager
def granted(aws: Aws, stack: str, what: str, *, renew_s: float = RENEW_S) -> Iterator[Grant]:
    """Hold the lease of a stack while `what` runs. Raises RefusedError that names the holder, and AwsError.

    Without the bucket, or without permission to use it, the block runs all the same: an account that the CDK's
    bootstrap alone has prepared can be deployed to. On the local engine the bucket is made.
    """
    lease = Lease(aws, stack, what)
    try:
        _acquire(aws, lease)
    except AwsError as error:
        if error.passes or isinstance(error, CredentialsError):  # nobody knows who has it
            raise
        yield _without(aws, error)
        return
    is_over, thread = threading.Event(), None
    try:
        thread = background.start(_keep, lease, is_over, renew_s)
        yield Grant(lease)
    finally:
        is_over.set()
        if thread is not None:
            thread.join(_RELEASE_S)


def busy(aws: Aws) -> list[str]:
    """List the stacks of this account and region that are being changed, each with its holder. Raises AwsError."""
    changes = []
    for stack in lease_objects.names(aws):
        stored = lease_objects.read(aws, stack)
        if stored is not None:
            holder = Holder.of(stored)
            if holder.until > stored.now and not holder.has_ended:
                changes.append(f"{stack} by {holder.description}")
    return changes


def job(environ: Mapping[str, str]) -> str:
    """The address of the CI job that runs this process; empty outside of GitHub Actions and GitLab CI."""
    if environ.get("GITHUB_ACTIONS") == "true":
        parts = [environ.get(key, "") for key in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")]
        return "{}/{}/actions/runs/{}".format(*parts) if all(parts) else ""
    return environ.get("CI_JOB_URL", "") if environ.get("GITLAB_CI") == "true" else ""


def _acquire(aws: Aws, lease: Lease) -> None:
    try:
        lease.acquire()
    except AwsError as error:
        if error.service_code != _MISSING or not aws.local:
            raise
        own_bucket.create(aws)
        lease.acquire()


def _keep(lease: Lease, is_over: threading.Event, renew_s: float) -> None:
    """Renew the lease until the block is over, then release it."""
    is_lost = False
    while not is_over.wait(renew_s):
        try:
            is_lost = is_lost or not lease.renew()
        except RtpError:
            continue  # a lease outlasts several misses
    try:
        lease.release()
    except RtpError:
        return  # it ends by itself


def _without(aws: Aws, error: AwsError) -> Grant:
    alone = "deploys from other machines at the same time are not noticed"
    if error.service_code == _MISSING:
        make = suggest.command("rtp", "bootstrap", bucket_only=True)
        return Grant(
            note=f"no bucket {own_bucket.name(aws)}, so {alone}" + suggest.sentence("; {} makes it", make, otherwise="")
        )
    policy = suggest.command("rtp", "doctor", policy="deployer")
    permission = suggest.sentence(" {} prints the permissions.", policy, otherwise="")
    return Grant(
        warning=f"The lease in {own_bucket.name(aws)} cannot be used, so {alone}: {error.message.rstrip('.')}."
        + (permission if error.code == "access-denied" else "")
    )
