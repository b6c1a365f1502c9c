"""rtp.toml and the process environment -> Environment. Knows files and names, never AWS."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rtp import settings as settings_table
from rtp.contract import Names
from rtp.errors import ConfigError
from rtp.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "rtp.toml"
DEFAULT_PROJECT = "realtime-processor"
DEFAULT_OWNER = "DataTeam"
BUILT_IN = ("local", "dev", "prod")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_ACCOUNT = re.compile(r"\d{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One resolved environment: where it is, how it is guarded, and its pipeline's settings.

    root is the folder of rtp.toml, or the working folder without one; `.rtp/` lives there.
    endpoint_url is None for AWS itself and for the embedded engine, whose URL only the engine knows.
    """

    name: str
    root: Path
    file: Path | None = None
    project: str = DEFAULT_PROJECT
    owner: str = DEFAULT_OWNER
    region: str = "us-east-1"
    account: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None
    protected: bool = False
    processors: Path | None = None  # a .py file or a package folder
    requirements: Path | None = None
    settings: Settings = field(default_factory=Settings)

    @property
    def names(self) -> Names:
        """Physical names of this environment's resources."""
        return Names(self.project, self.name)

    @property
    def embedded(self) -> bool:
        """Whether the embedded engine serves this environment."""
        return self.name == "local" and self.endpoint_url is None

    @property
    def local(self) -> bool:
        """Whether this is an emulator on this machine, embedded or not; never an AWS account."""
        return self.name == "local" or (
            self.endpoint_url is not None and urlsplit(self.endpoint_url).hostname in LOOPBACK
        )

    @property
    def state(self) -> Path:
        """Folder of what rtp keeps about this project, such as `.rtp/local` and synthesised templates."""
        return self.root / ".rtp"


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says of an environment; None says nothing."""

    env: str | None = None
    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None


def resolve(
    overrides: Overrides = Overrides(),
    *,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Environment:
    """The environment a command works on. Raises ConfigError that names file, key and what is allowed.

    Its name: --env, RTP_ENV, `default_env`, then `local`.
    Its values: built-in, `[defaults]`, `[env.NAME]`, then the command line.
    """
    environ = os.environ if environ is None else environ
    cwd = Path.cwd() if cwd is None else cwd
    file = find(cwd)
    document = _load(file) if file else {}
    where = str(file) if file else FILE
    _known(document, _TOP, where, "")
    name = overrides.env or environ.get("RTP_ENV") or _typed(document, "default_env", str, where) or "local"
    sections = _typed(document, "env", dict, where) or {}
    if name not in sections and name not in BUILT_IN:
        known = sorted({*BUILT_IN, *sections})
        raise ConfigError(
            f"There is no environment {name!r}.{_nearest(name, known)}",
            hint=f"Use one of {', '.join(known)}, or add [env.{name}] to {where}.",
            code="unknown-env",
        )
    values = {**_section(document.get("defaults", {}), where, "[defaults]")}
    for section, content in sections.items():  # all of them, so that a mistake is found before its night comes
        checked = _section(content, where, f"[env.{section}]")
        if section == name:
            values |= checked
    values |= {
        k: v
        for k, v in (
            ("profile", overrides.profile),
            ("region", overrides.region),
            ("endpoint_url", overrides.endpoint_url),
        )
        if v is not None
    }
    root = file.parent if file else cwd
    processors = _typed(document, "processors", dict, where) or {}
    _known(processors, {"path", "requirements"}, where, "[processors]")
    setting_values = {k: values.pop(k) for k in list(values) if k in settings_table.NAMES}
    values.setdefault("protected", name == "prod")
    environment = Environment(
        name=_checked_name(name, where, "environment"),
        root=root,
        file=file,
        project=_checked_name(_typed(document, "project", str, where) or DEFAULT_PROJECT, where, "project"),
        owner=_typed(document, "owner", str, where) or DEFAULT_OWNER,
        processors=_path(root, processors, "path", where),
        requirements=_path(root, processors, "requirements", where),
        settings=Settings(**setting_values),
        **values,
    )
    _guard_endpoint(environment, where)
    return environment


def find(cwd: Path) -> Path | None:
    """The nearest rtp.toml in a folder or its parents."""
    return next((p / FILE for p in (cwd, *cwd.parents) if (p / FILE).is_file()), None)


_TOP = {"project", "owner", "default_env", "processors", "defaults", "env"}
_PLACE: dict[str, type] = {"region": str, "account": str, "profile": str, "endpoint_url": str, "protected": bool}


def _load(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: {error}", hint="Mend the TOML and repeat.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from None


def _section(content: object, where: str, label: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: {label} must be a table.")
    _known(content, {*_PLACE, *settings_table.NAMES}, where, label)
    checked: dict[str, Any] = {}
    for key, value in content.items():
        if key in _PLACE:
            checked[key] = _typed(content, key, _PLACE[key], where, label)
        else:
            problem = settings_table.problem(key, value)
            if problem:
                raise ConfigError(f"{where}: {label} {key} = {value!r}: {problem}.", hint=settings_table.about(key))
            checked[key] = tuple(value) if isinstance(value, list) else value
    if "account" in checked and not _ACCOUNT.fullmatch(checked["account"]):
        raise ConfigError(f"{where}: {label} account = {checked['account']!r}: 12 digits, in quotes.")
    if "region" in checked and not _REGION.fullmatch(checked["region"]):
        raise ConfigError(f"{where}: {label} region = {checked['region']!r} is not an AWS region such as us-east-1.")
    return checked


def _known(table: Mapping[str, object], known: set[str], where: str, label: str) -> None:
    for key in table:
        if key not in known:
            raise ConfigError(
                f"{where}: unknown key {key!r}{' in ' + label if label else ''}.{_nearest(key, known)}",
                hint=f"Known here: {', '.join(sorted(known))}.",
                code="unknown-key",
            )


def _nearest(word: str, known: Any) -> str:
    near = get_close_matches(word, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _typed(table: Mapping[str, Any], key: str, kind: type, where: str, label: str = "") -> Any:
    value = table.get(key)
    if value is not None and not isinstance(value, kind):
        wanted = {str: "text in quotes", bool: "true or false", dict: "a table"}[kind]
        raise ConfigError(f"{where}: {label + ' ' if label else ''}{key} must be {wanted}, not {value!r}.")
    return value


def _checked_name(name: str, where: str, what: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{where}: {what} name {name!r} is not allowed.",
            hint="Lower-case letters, digits and dashes, starting with a letter, at most 20 characters.",
        )
    return name


def _path(root: Path, table: Mapping[str, Any], key: str, where: str) -> Path | None:
    value = _typed(table, key, str, where, "[processors]")
    if value is None:
        return None
    path: Path = (root / value).resolve()
    if not path.exists():
        raise ConfigError(f"{where}: [processors] {key} = {value!r}: {path} does not exist.")
    return path


def _guard_endpoint(environment: Environment, where: str) -> None:
    url = environment.endpoint_url
    if url is None:
        return
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"endpoint_url {url!r} is not a URL such as http://127.0.0.1:4566.")
    if environment.name == "local" and parts.hostname not in LOOPBACK:
        raise ConfigError(
            f"{where}: the environment local accepts only an endpoint on this machine, not {url}.",
            hint="Give that endpoint an environment of its own.",
        )
