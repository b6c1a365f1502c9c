"""Secrets of processors: fetched at first use, kept in memory for some minutes, and never part of a text.

The environment variable RTP_SECRETS has the source of each declared name, as JSON: `ssm:NAME` or
`secretsmanager:NAME#KEY`, where NAME may be an ARN.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from rtp.runtime import logs, masking

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SECONDS = 300.0  # that a value is used without asking again
_AFTER_FAILURE = 10.0  # age from which a failed attempt makes a value be fetched again
_STALE = 30.0  # that an old value is used on where its service does not answer
_NOT_FOUND = ("ParameterNotFound", "ResourceNotFoundException", "ParameterVersionNotFound")
_FINAL = (*_NOT_FOUND, "AccessDeniedException", "InvalidKeyId", "DecryptionFailure", "InvalidRequestException")
_HOW_TO_GIVE = (
    "`rtp run` reads values from .env.local or --secrets-file, and tests give them with "
    "rtp.runtime.testing.given(secrets=…)"
)
_CHANCE = random.SystemRandom().random  # a snapshot's copies must not refresh at the same time


class SecretError(Exception):
    """A secret has no value or cannot be read; the message says what to do. The event is tried again later."""


class Secrets:
    """The declared secrets. read: source -> value. Any number of threads may use it."""

    def __init__(
        self, sources: Mapping[str, str], read: Callable[[str], str], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._sources = sources
        self._read = read
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._locks = {name: threading.Lock() for name in sources}

    def get(self, name: str) -> str:
        """Return a secret's value. Raises SecretError."""
        if name not in self._sources:
            raise SecretError(f"secret {name!r} is not declared: add it to `secrets` in rtp.toml")
        entry = self._entries.get(name)
        if entry is not None and entry.is_fresh(self._clock()):
            return entry.value
        with self._locks[name]:
            entry = self._entries.get(name)
            if entry is None or not entry.is_fresh(self._clock()):
                entry = self._entries[name] = self._fetched(name, entry)
            return entry.value

    def attempt_failed(self) -> None:
        """Fetch values again at their next use, if they are some seconds old: one may have been rotated."""
        now = self._clock()
        for entry in list(self._entries.values()):
            if not 0 <= now - entry.fetched < _AFTER_FAILURE:
                entry.until = 0

    def _fetched(self, name: str, old: _Entry | None) -> _Entry:
        now = self._clock()
        try:
            value = self._read(self._sources[name])
        except Exception as error:
            if old is None or _code(error) in _FINAL or isinstance(error, SecretError):
                raise SecretError(self._problem(name, error)) from error
            message = f"secret {name} could not be read again, its last value is used: {type(error).__name__}"
            logs.warning("secret", message)
            return _Entry(old.value, old.fetched, now + _STALE)
        masking.hide(value)
        return _Entry(value, now, now + _SECONDS * (0.8 + 0.4 * _CHANCE()))

    def _problem(self, name: str, error: Exception) -> str:
        source = self._sources[name]
        if _code(error) in _NOT_FOUND:
            return f"secret {name} is not set ({source}): set it with `rtp secrets set`"
        return f"secret {name} ({source}) cannot be read: {_code(error) or type(error).__name__}: {error}"


class _Entry:
    """A value, when it was fetched, and until when it is used. Its repr does not show the value."""

    __slots__ = ("fetched", "until", "value")

    def __init__(self, value: str, fetched: float, until: float) -> None:
        self.value = value
        self.fetched = fetched
        self.until = until

    def is_fresh(self, now: float) -> bool:
        """Whether it is used without asking; not where the clock was set back, or a snapshot was restored."""
        return self.fetched <= now < self.until


_given: Mapping[str, str] | None = None


def secret(name: str) -> str:
    """Return the value of a secret that rtp.toml declares. Raises SecretError.

    Fetched at the first use, then kept for about five minutes; fetched again after an attempt that failed. Call it
    where the value is used: a value that is kept in a variable is not renewed.
    """
    if _given is None and "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        value = _declared().get(name)
        masking.guard_streams()
        return value
    if _given is None or name not in _given:
        raise SecretError(f"secret {name!r} has no value here: {_HOW_TO_GIVE}")
    masking.hide(_given[name])
    return _given[name]


def given() -> Mapping[str, str] | None:
    """Return the values that are used in place of fetched ones; None where there are none."""
    return _given


def give(values: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Use these values in this interpreter in place of the fetched ones; None ends that. Returns those before."""
    global _given
    before, _given = _given, values
    return before


def attempt_failed() -> None:
    """Report that a processor failed; see Secrets.attempt_failed."""
    if _given is None and _declared.cache_info().currsize:
        _declared().attempt_failed()


@cache
def _declared() -> Secrets:
    return Secrets(json.loads(os.environ.get("RTP_SECRETS") or "{}"), fetch)


def fetch(source: str, client_of: Callable[[str, str], Any] | None = None) -> str:
    """Fetch a value from its service. Raises botocore's errors, and SecretError for one that is no text.

    client_of: service and region -> client; the region is empty for the function's own.
    """
    service, _, place = source.partition(":")
    id, _, key = place.partition("#")
    client = (client_of or _client)(service, id.split(":")[3] if id.startswith("arn:") else "")
    if service == "ssm":
        return str(client.get_parameter(Name=id, WithDecryption=True)["Parameter"]["Value"])
    value = client.get_secret_value(SecretId=id).get("SecretString")
    if not isinstance(value, str):
        raise SecretError(f"{id} is binary; only text can be read")
    return _member(value, key) if key else value


def _member(text: str, key: str) -> str:
    try:
        value = json.loads(text)[key]
    except (ValueError, KeyError, TypeError):
        raise SecretError(f"its value has no member {key!r}") from None
    return value if isinstance(value, str) else json.dumps(value)


@cache
def _client(service: str, region: str) -> Any:
    """Return a client; created at the first secret, so that other cold starts do not pay for it."""
    import botocore.session
    from botocore.config import Config

    config = Config(connect_timeout=2, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 5})
    return botocore.session.Session().create_client(service, region_name=region or None, config=config)


def _code(error: Exception) -> str:
    """AWS's code of an error; empty for others."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))
