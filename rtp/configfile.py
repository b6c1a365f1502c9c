"""The shape of rtp.toml: its keys, what each may hold, and errors that name file, key and what is allowed."""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct

from rtp import settings
from rtp.errors import ConfigError
from rtp.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

REGION = r"^[a-z]{2}(-[a-z]+)+-\d$"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")
_PROBLEM = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


def _text(description: str, allowed: str = "text in quotes", pattern: str | None = None) -> Meta:
    return Meta(description=description, extra={"allowed": allowed}, pattern=pattern)


class Place(Struct, frozen=True, kw_only=True):
    """Where an environment is and how it is guarded; beside Settings in `[defaults]` and `[env.*]`."""

    region: Annotated[str, _text("AWS region", "an AWS region such as us-east-1, in quotes", REGION)] = "us-east-1"
    account: Annotated[str, _text("account the credentials must be of", "12 digits, in quotes", r"^\d{12}$")] | None = (
        None
    )
    profile: Annotated[str, _text("AWS profile")] | None = None
    endpoint_url: Annotated[str, _text("another endpoint than AWS's own")] | None = None
    protected: Annotated[bool, Meta(description="typed confirmations, data retained, no hotswap")] = False


class Processors(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[processors]`; paths are relative to the folder of rtp.toml."""

    path: Annotated[str, _text("your processors: a file, a package or a source folder")] | None = None
    requirements: Annotated[str, _text("packages for the layer, beside rtp's own")] | None = None
    include: Annotated[tuple[str, ...], _text("globs of files to pack as well, from the processors' folder")] = ()
    exclude: Annotated[tuple[str, ...], _text("globs of files to leave out of the zip")] = ()


class Document(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file. The tables' contents are checked one by one, so that an error names its table."""

    project: Annotated[str, _text("first part of every resource's name")] | None = None
    owner: Annotated[str, _text("the Owner tag")] | None = None
    default_env: Annotated[str, _text("the environment without --env and RTP_ENV")] | None = None
    processors: Annotated[dict[str, Any], _text("your code", "a table")] = msgspec.field(default_factory=dict)
    defaults: Annotated[dict[str, Any], _text("settings of every environment", "a table")] = msgspec.field(
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
        for name, hint in settings.hints(struct).items()
    ],
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
)
PLACE_KEYS = frozenset(Place.__struct_fields__)


def load(file: Path) -> Document:
    """The file's document, its tables not checked yet. Raises ConfigError."""
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: {error}", hint="Correct the TOML and try again.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from None
    found: Document = convert(document, Document, str(file))
    return found


def section(content: object, where: str, label: str) -> dict[str, Any]:
    """The keys that one of `[defaults]` and `[env.*]` sets, checked. Raises ConfigError."""
    found = convert(content, Section, where, label)
    return {key: value for key in Section.__struct_fields__ if (value := getattr(found, key)) is not UNSET}


def convert(content: object, struct: type[Struct], where: str, label: str = "") -> Any:
    """A table as a struct. Raises ConfigError that names file, table, key and what is allowed."""
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: {label} must be a table.")
    try:
        return msgspec.convert(content, struct)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), content, struct, where, label) from None


def checked_name(name: str, where: str, what: str) -> str:
    """A project's or environment's name. Raises ConfigError."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{where}: {what} name {name!r} is not allowed.",
            hint="Lower-case letters, digits and dashes, starting with a letter, at most 20 characters.",
        )
    return name


def nearest(word: str, known: Iterable[str]) -> str:
    """A suggestion for a mistyped word, or nothing."""
    near = get_close_matches(word, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _refusal(problem: str, content: Mapping[str, Any], struct: type[Struct], where: str, label: str) -> ConfigError:
    """An error of msgspec's as one about the file."""
    unknown = _UNKNOWN.match(problem)
    prefix = f"{where}: {label} " if label else f"{where}: "
    if unknown is not None:
        key, known = unknown.group(1), struct.__struct_fields__
        suggestion = nearest(key, known)
        return ConfigError(
            f"{where}: unknown key {key!r}{f' in {label}' if label else ''}.{suggestion}",
            hint="Rename or remove it; `rtp config` then lists every setting."
            if suggestion
            else f"Known here: {', '.join(sorted(known))}.",
            code="unknown-key",
        )
    path = _PROBLEM.fullmatch(problem)
    key = re.split(r"[.\[]", (path["path"] if path and path["path"] else "").removeprefix("."))[0]
    setting = _settings(struct).get(key)
    if setting is None:  # none of ours, yet it must not become a traceback
        return ConfigError(f"{prefix}{problem}")
    if setting.allowed == "a table":
        return ConfigError(f"{prefix}{key} must be a table.")
    return ConfigError(
        f"{prefix}{key} = {content.get(key)!r}: must be {setting.allowed}.", hint=settings.about(setting)
    )


def _settings(struct: type[Struct]) -> dict[str, settings.Setting]:
    return settings.table(Place) | settings.table(Settings) if struct is Section else settings.table(struct)
