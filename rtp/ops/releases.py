"""A release: one version of code, layer and settings, known by a hash that its functions write to all they leave.

The releases of an environment are counted: r42 is the forty-second. Hashes, numbers and commits are in one object of
rtp's own bucket, which deploys write; a command reads it where it shows or is given a release.
"""

from __future__ import annotations

import json
import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.errors import NotFoundError, UsageError
from rtp.runtime import wire
from rtp.text.given import Given, MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rtp.aws import Aws
    from rtp.config import Environment

_PART = re.compile(rf"[0-9a-f]{{4,{wire.RELEASE_LENGTH}}}")
_NUMBER = re.compile(r"r([1-9][0-9]{0,8})")
_HASH = re.compile(rf"[0-9a-f]{{{wire.RELEASE_LENGTH}}}")
_COMMIT = re.compile(r"([0-9a-f]{40,64}(-dirty)?)?")
_MOST = 1000  # releases that are remembered
_MOST_BYTES = 1_000_000
_COMMIT_LENGTH = 10


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a release. number: 42 of r42. commit: git's, with `-dirty`; empty where not known."""

    number: int
    commit: str = ""


Names = dict[str, Name]


class _Known:
    """The names that one command knows: read when the first is asked for."""

    def __init__(self, load: Callable[[], Names]) -> None:
        self._load = load
        self._names: Names | None = None

    @property
    def names(self) -> Names:
        if self._names is None:
            self._names = self._load()
        return self._names


_KNOWN: ContextVar[_Known | None] = ContextVar("releases", default=None)


def use(load: Callable[[], Names]) -> None:
    """Let the functions below know the names of an environment's releases, which `load` reads when they are needed."""
    _KNOWN.set(_Known(load))


def read(aws: Aws, environment: Environment) -> Names:
    """The names of an environment's releases, without those that rtp did not write. Raises RtpError."""
    from rtp.aws import release_objects

    try:
        body = release_objects.names(aws, environment.project, environment.name, most=_MOST_BYTES)
        stored = Given(json.loads(body)).values
    except (NotFoundError, ValueError, RecursionError):
        return {}
    return {release: known for release, value in stored.items() if (known := _name(release, value)) is not None}


def write(aws: Aws, environment: Environment, names: Names) -> None:
    """Write the names of the newest releases, under the lease of the stack. Raises AwsError."""
    from rtp.aws import release_objects

    newest = sorted(names.items(), key=lambda item: -item[1].number)[:_MOST]
    values = {release: {"number": known.number, "commit": known.commit} for release, known in newest}
    body = json.dumps(values, separators=(",", ":")).encode()
    release_objects.write_names(aws, environment.project, environment.name, body)


def _name(release: str, value: object) -> Name | None:
    try:
        given = Given(value)
        known = Name(given.integer("number", least=1, most=10**9), given.text("commit", ""))
    except MalformedError:
        return None
    return known if _HASH.fullmatch(release) and _COMMIT.fullmatch(known.commit) else None


def name(release: str) -> Name | None:
    """The name of a release, where it is known."""
    known = _KNOWN.get()
    return known.names.get(release) if known is not None and release else None


def label(release: str) -> str:
    """The name under which a release is shown: r42, or its hash where the number is not known."""
    known = name(release)
    return release if known is None else f"r{known.number}"


def described(release: str) -> str:
    """A release by its number, hash and commit, as far as they are known."""
    known = name(release)
    if known is None:
        return release
    commit, dash, dirty = known.commit.partition("-")
    parts = [release, *([f"commit {commit[:_COMMIT_LENGTH]}{dash}{dirty}"] if commit else [])]
    return f"r{known.number} ({', '.join(parts)})"


def parsed(text: str) -> str:
    """The hash, or its beginning, that an option gives, also as r42. Raises UsageError."""
    part = text.strip().lower()
    if number := _NUMBER.fullmatch(part):
        known = _KNOWN.get()
        names = {} if known is None else known.names
        found = next((release for release, each in names.items() if each.number == int(number[1])), None)
        if found is None:
            raise UsageError(
                f"{part} is not a known release.",
                hint="`rtp rollback --list` and `rtp history` show them; a release's hash is taken too.",
            )
        return found
    if not _PART.fullmatch(part):
        raise UsageError(
            f"{text!r} is not a release.",
            hint=f"Give its number, such as r42, its {wire.RELEASE_LENGTH} hexadecimal digits, or the first 4 of them: "
            "`rtp status` shows them.",
        )
    return part


def of(record: Mapping[str, Any]) -> str:
    """The release of a record's last attempt; empty where no release is known."""
    return str(record.get("release") or "")


def annotated(part: str) -> str:
    """X-Ray's filter expression for the traces of a release, by its hash or the beginning."""
    how = "=" if len(part) == wire.RELEASE_LENGTH else "BEGINSWITH"
    return f'annotation.release {how} "{part}"'


def matches(release: str | None, part: str | None) -> bool:
    """Whether a release has this hash, or one that begins so; None fits all."""
    return part is None or (release or "").startswith(part)
