"""Every failure that rtp expects, with its exit code.

RtpError                the operation failed                             exit 1
├── UsageError          the command line or its input is wrong           exit 2
├── ConfigError         rtp.toml, credentials or the machine are wrong   exit 3
├── NotFoundError       a named resource does not exist, or no deploy    exit 4
├── RefusedError        a guard refuses, or a confirmation is missing    exit 5
├── WaitTimeoutError    an awaited event did not happen in time          exit 6
└── AwsError            AWS (or the engine) refused a call               exit 1
    ├── CredentialsError  no, wrong or expired credentials               exit 3
    ├── MissingError      a named resource of AWS does not exist         exit 4
    └── EndpointError     nothing answers at the endpoint                exit 1
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the process, as docs/exit-codes.md lists them; pinned by a test."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CONFIG = 3
    NOT_FOUND = 4
    REFUSED = 5
    TIMED_OUT = 6
    INTERRUPTED = 130
    TERMINATED = 143


class ReaderGoneError(BaseException):
    """The reader of stdout has closed it (`head`, `less`). Not an Exception: no handler of failures may catch it."""


class RtpError(Exception):
    """An expected failure: what happened to which resource, and which command fixes it.

    code: stable, lower-case, dash-separated; scripts compare it.
    hint: one sentence or command that fixes it; empty where no fix is known.
    """

    exit_code = ExitCode.FAILED
    default_code = "failed"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code


class UsageError(RtpError):
    """The command line or its input is wrong."""

    exit_code = ExitCode.USAGE
    default_code = "usage"


class ConfigError(RtpError):
    """rtp.toml, the credentials or the machine do not allow the command."""

    exit_code = ExitCode.CONFIG
    default_code = "config"


class NotFoundError(RtpError):
    """A named resource does not exist, or the environment is not deployed."""

    exit_code = ExitCode.NOT_FOUND
    default_code = "not-found"


class RefusedError(RtpError):
    """A guard refuses, or a confirmation is missing."""

    exit_code = ExitCode.REFUSED
    default_code = "refused"


class WaitTimeoutError(RtpError):
    """An awaited event did not happen in time."""

    exit_code = ExitCode.TIMED_OUT
    default_code = "timed-out"


class AwsError(RtpError):
    """AWS refused a call. `service_code` is AWS's own error code, such as ThrottlingException."""

    default_code = "aws"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None, service_code: str = "") -> None:
        super().__init__(message, hint=hint, code=code)
        self.service_code = service_code

    @property
    def passes(self) -> bool:
        """Whether the same call may succeed later, without a change: the network, a throttle, a fault of AWS's own."""
        return self.code in ("throttled", "unavailable")


class CredentialsError(AwsError):
    """No credentials, wrong ones, or expired ones."""

    exit_code = ExitCode.CONFIG
    default_code = "credentials"


class MissingError(AwsError):
    """A queue, table, bucket, function or key that a call names does not exist."""

    exit_code = ExitCode.NOT_FOUND
    default_code = "missing-resource"


class EndpointError(AwsError):
    """Nothing answers at the endpoint."""

    default_code = "endpoint"

    @property
    def passes(self) -> bool:
        """The network may work again later."""
        return True
