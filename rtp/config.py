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
from rtp.errors import ConfigError, UsageError
from rtp.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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


@dataclass(frozen=True, slots=True)
class Resolved:
    """An environment, and for each of its values where it came from, such as `rtp.toml [env.prod]`."""

    environment: Environment
    origins: dict[str, str]


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
    return explain(overrides, cwd=cwd, environ=environ).environment


def explain(
    overrides: Overrides = Overrides(),
    *,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Resolved:
    """As `resolve`, with the origin of every value. Raises ConfigError."""
    environ = os.environ if environ is None else environ
    cwd = Path.cwd() if cwd is None else cwd
    file = find(cwd)
    document = _load(file) if file else {}
    where = str(file) if file else FILE
    _known(document, _TOP, where, "")
    sections = _typed(document, "env", dict, where) or {}
    for section in sections:
        _checked_name(section, where, "environment")
    name, name_origin = _chosen(overrides, environ, document, where)
    known = sorted({*BUILT_IN, *sections})
    if name not in known:
        raise ConfigError(
            f"There is no environment {name!r} ({name_origin}).{_nearest(name, known)}",
            hint=f"Use one of {', '.join(known)}, or add [env.{name}] to {where}.",
            code="unknown-env",
        )
    origins = {"name": name_origin}
    values: dict[str, Any] = {"protected": name == "prod"}
    for label, content in _sections(document, sections, where):  # all, so that a mistake is found before its night
        checked = _section(content, where, label)
        if label in ("[defaults]", f"[env.{name}]"):
            values |= checked
            origins |= dict.fromkeys(checked, f"{FILE} {label}")
    for key in ("profile", "region", "endpoint_url"):
        given = getattr(overrides, key)
        if given is not None:
            values[key] = given
            origins[key] = f"--{key.replace('_', '-')}"
    if not _REGION.fullmatch(values.get("region", "us-east-1")):
        raise ConfigError(f"{values['region']!r} is not an AWS region such as us-east-1.")
    processors = _typed(document, "processors", dict, where) or {}
    _known(processors, {"path", "requirements"}, where, "[processors]")
    origins |= {key: FILE for key in ("project", "owner") if key in document}
    origins |= {
        field_name: f"{FILE} [processors]"
        for key, field_name in (("path", "processors"), ("requirements", "requirements"))
        if key in processors
    }
    setting_values = {k: values.pop(k) for k in list(values) if k in settings_table.NAMES}
    environment = Environment(
        name=name,
        root=file.parent if file else cwd,
        file=file,
        project=_checked_name(_typed(document, "project", str, where) or DEFAULT_PROJECT, where, "project"),
        owner=_typed(document, "owner", str, where) or DEFAULT_OWNER,
        processors=_path(file, processors, "path", where),
        requirements=_path(file, processors, "requirements", where),
        settings=Settings(**setting_values),
        **values,
    )
    _check_whole(environment, where)
    return Resolved(environment, origins)


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


def _chosen(
    overrides: Overrides, environ: Mapping[str, str], document: Mapping[str, Any], where: str
) -> tuple[str, str]:
    if overrides.env is not None:
        if not overrides.env:  # an unset variable in a script: the default must not stand in for it
            raise UsageError("--env is empty.", hint="Name an environment, or leave --env out.")
        return overrides.env, "--env"
    if environ.get("RTP_ENV"):
        return environ["RTP_ENV"], "RTP_ENV"
    default = _typed(document, "default_env", str, where)
    return (default, f"{FILE} default_env") if default else ("local", "default")


def _sections(document: Mapping[str, Any], sections: Mapping[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    yield "[defaults]", _typed(document, "defaults", dict, where) or {}
    for section, content in sections.items():
        yield f"[env.{section}]", content


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
                hint="Rename or remove it; `rtp config` then lists every setting."
                if _nearest(key, known)
                else f"Known here: {', '.join(sorted(known))}.",
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


def _path(file: Path | None, table: Mapping[str, Any], key: str, where: str) -> Path | None:
    value = _typed(table, key, str, where, "[processors]")
    if value is None or file is None:
        return None
    path: Path = (file.parent / value).resolve()
    if not path.exists():
        raise ConfigError(
            f"{where}: [processors] {key} = {value!r}: there is no {path}.",
            hint="Paths are taken from the folder of rtp.toml.",
        )
    return path


def _check_whole(environment: Environment, where: str) -> None:
    """What no single key shows."""
    settings = environment.settings
    if settings.queue_retention_days > settings.dlq_retention_days:
        # A message keeps its first enqueue time in the DLQ: it would expire there before anybody has seen it.
        raise ConfigError(
            f"{where}: queue_retention_days = {settings.queue_retention_days} is more than "
            f"dlq_retention_days = {settings.dlq_retention_days}.",
            hint="Give the DLQ at least the days of the queue.",
        )
    if settings.backoff_base_s > settings.backoff_cap_s:
        raise ConfigError(f"{where}: backoff_base_s = {settings.backoff_base_s} is more than backoff_cap_s.")
    bucket = environment.names.bucket("0" * 12, environment.region)
    if len(bucket) > 63:
        raise ConfigError(
            f"{where}: the bucket's name {environment.names.stack}-<account>-{environment.region} is "
            f"{len(bucket)} characters; S3 takes 63.",
            hint="Shorten the project's or the environment's name.",
        )
    _check_endpoint(environment, where)


def _check_endpoint(environment: Environment, where: str) -> None:
    url = environment.endpoint_url
    if url is None:
        return
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    if not fine:
        raise ConfigError(f"endpoint_url {url!r} is not a URL such as http://127.0.0.1:4566.")
    if environment.name == "local" and parts.hostname not in LOOPBACK:
        raise ConfigError(
            f"{where}: the environment local accepts only an endpoint on this machine, not {url}.",
            hint="Give that endpoint an environment of its own.",
        )
