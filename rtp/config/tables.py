"""The tables of rtp.toml: their keys, and the type, range and description of each."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct

from rtp.config import setting_table
from rtp.config.settings import Settings
from rtp.contract import MAX_SAVE_EVERY_S, MAX_SEED

REGION = r"^[a-z]{2,4}(-[a-z]+)+-\d$"


def _text(description: str, allowed: str = "text in quotes", pattern: str | None = None) -> Meta:
    return Meta(description=description, extra={"allowed": allowed}, pattern=pattern)


class Place(Struct, frozen=True, kw_only=True):
    """Where an environment is and how it is protected. `[defaults]` and `[env.*]` contain these keys and Settings."""

    region: Annotated[str, _text("AWS region", "an AWS region such as us-east-1, in quotes", REGION)] = "us-east-1"
    account: (
        Annotated[str, _text("account that the credentials must belong to", "12 digits, in quotes", r"^\d{12}$")] | None
    ) = None
    profile: Annotated[str, _text("AWS profile")] | None = None
    endpoint_url: Annotated[str, _text("endpoint to use instead of AWS")] | None = None
    protected: Annotated[
        bool, Meta(description="whether changes need a typed confirmation, data is retained and hotswap is refused")
    ] = False
    weather: Annotated[
        bool | Annotated[int, Meta(ge=0, le=MAX_SEED)],
        _text(
            "whether the local engine answers as AWS does on a bad day; a number is the seed", "true, false or a seed"
        ),
    ] = False
    weather_effects: Annotated[
        tuple[str, ...], _text("effects of the weather; empty: all of them", "a list of effects, see docs/local.md")
    ] = ()
    enforce_iam: Annotated[
        bool, Meta(description="[env.local] alone: whether the local engine enforces the permissions of roles")
    ] = False
    save_every_s: Annotated[
        int,
        Meta(
            ge=0,
            le=MAX_SAVE_EVERY_S,
            description="[env.local] alone: seconds between saves of the local engine; 0: only a stop saves",
        ),
    ] = 30


Names = str | tuple[str, ...]


class RequirementsTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`requirements` as a table: a project's file, and its extras and dependency groups."""

    file: str
    extra: Names = ()
    group: Names = ()


class Processors(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[processors]`. Paths are relative to the folder of rtp.toml."""

    path: Annotated[str, _text("processors: a file, a package or a source folder")] | None = None
    requirements: (
        Annotated[
            str | RequirementsTable,
            _text(
                "file of packages to add to the Lambda layer",
                'a path in quotes, or { file = "pyproject.toml", extra = "name", group = "name" }',
            ),
        ]
        | None
    ) = None
    include: Annotated[tuple[str, ...], _text("globs of files to pack as well, from the processors' folder")] = ()
    exclude: Annotated[tuple[str, ...], _text("globs of files to leave out of the zip")] = ()


class Infra(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[infra]`. Paths are relative to the folder of rtp.toml."""

    extend: Annotated[str, _text("Python file with extend(pipeline), which adds resources to the stack")] | None = None
    strict: Annotated[bool, Meta(description="whether a finding of cdk-nag about these resources stops a deploy")] = (
        False
    )


class Document(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file. Each table is checked on its own, so that an error names the table."""

    project: Annotated[str, _text("first part of every resource name")] | None = None
    owner: Annotated[str, _text("value of the Owner tag")] | None = None
    default_env: Annotated[str, _text("environment if neither --env nor RTP_ENV is given")] | None = None
    processors: Annotated[dict[str, Any], _text("where the processors are", "a table")] = msgspec.field(
        default_factory=dict
    )
    infra: Annotated[dict[str, Any], _text("resources of your own", "a table")] = msgspec.field(default_factory=dict)
    defaults: Annotated[dict[str, Any], _text("settings of all environments", "a table")] = msgspec.field(
        default_factory=dict
    )
    env: Annotated[dict[str, Any], _text("settings of one environment", "a table")] = msgspec.field(
        default_factory=dict
    )


Section = msgspec.defstruct(
    "Section",
    [
        (name, hint | msgspec.UnsetType, UNSET)
        for struct in (Place, Settings)
        for name, hint in setting_table.hints(struct).items()
    ],
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
)
PLACE_KEYS = frozenset(Place.__struct_fields__)
