"""A kept release as rtp's own bucket has it: description and template, or an error for what rtp did not write."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

import msgspec
from msgspec import Meta

from rtp.runtime.wire import RELEASE_LENGTH
from rtp.text import json_values
from rtp.text.given import LATEST_MS, MalformedError

MOST_BYTES = 2_000_000  # of a description or a template; CloudFormation takes templates of 1 MB
MOST_NAME = 200
_MOST_COUNT = 10**9

_Hash = Annotated[str, Meta(pattern=rf"\A[0-9a-f]{{{RELEASE_LENGTH}}}\Z")]
_Count = Annotated[int, Meta(ge=0, le=_MOST_COUNT)]
_Name = Annotated[str, Meta(max_length=MOST_NAME)]
_Key = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,199}\Z")]  # a part of a file's name here
_Bucket = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")]


@dataclass(frozen=True, slots=True)
class Kept:
    """A release that is kept.

    number: counts the releases of the environment. order: counts deploys and rollbacks; the greatest was the last.
    at: when it was deployed last, epoch ms. before: the release that its first deploy replaced; empty for none.
    template: SHA-256 of its template. code: Lambda's CodeSha256 of the functions' zip, which is the asset `archive`.
    assets: key -> bucket of the CDK. paths: logical id -> construct path.
    commit: git's, with `-dirty` where tracked files had other contents; empty where not known.
    """

    release: _Hash
    number: _Count
    order: _Count
    at: Annotated[int, Meta(ge=0, le=LATEST_MS)]
    before: Annotated[str, Meta(pattern=rf"\A([0-9a-f]{{{RELEASE_LENGTH}}})?\Z")]
    user: _Name
    rtp: _Name
    template: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    code: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9+/]{43}=\Z")]
    archive: _Key
    assets: Annotated[dict[_Key, _Bucket], Meta(max_length=1000)]
    tags: Annotated[dict[_Name, Annotated[str, Meta(max_length=256)]], Meta(max_length=50)]
    paths: dict[str, str]
    commit: _Name = ""

    @property
    def label(self) -> str:
        """The release in a sentence."""
        return f"r{self.number} ({self.release})"


# Made before threads use it: of two threads that decode a type for the first time, msgspec lets one use what the other
# has not finished, and the process ends with a segmentation fault.
_DECODER = msgspec.json.Decoder(Kept)


def parsed(body: bytes, release: str) -> Kept:
    """Read the description of a release. Raises MalformedError where it is none, or another's."""
    try:
        kept = _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedError(str(error)) from None
    if kept.release != release:
        raise MalformedError("it describes another release")
    if kept.archive not in kept.assets:
        raise MalformedError("its code is none of its assets")
    return kept


def template(body: bytes) -> dict[str, Any]:
    """Read a template. Raises MalformedError for what has not the form of one."""
    try:
        json_values.loads(body)  # refuses what is nested too deeply
        value: dict[str, Any] = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise MalformedError("it is not JSON") from None
    resources = value.get("Resources") if isinstance(value, dict) else None
    if not isinstance(resources, dict):
        raise MalformedError("it has no resources")
    for section in ("Outputs", "Parameters", "Conditions", "Mappings", "Metadata"):
        _object(value, section)
    for resource in [*resources.values(), *value.get("Outputs", {}).values()]:
        if not isinstance(resource, dict):
            raise MalformedError("a resource or an output is not an object")
    for resource in resources.values():
        if not isinstance(resource.get("Type"), str):
            raise MalformedError("a resource has no type")
        _object(resource, "Properties")
        _object(resource, "Metadata")
    return value


def _object(value: dict[str, Any], name: str) -> None:
    if not isinstance(value.get(name, {}), dict):
        raise MalformedError(f"{name} is not an object")


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)
