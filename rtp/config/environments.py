"""Resolve rtp.toml, the process environment and the command line to an Environment. Calls no AWS."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, structs

from rtp.config import (
    DEFAULT_OWNER,
    DEFAULT_PROJECT,
    FILE,
    Environment,
    Overrides,
    Resolved,
    checks,
    reading,
    secret_sources,
    tables,
)
from rtp.config.setting_table import is_added
from rtp.config.settings import Settings
from rtp.config.tables import PLACE_KEYS, Document, Infra, Processors, RequirementsTable
from rtp.contract import MAX_SEED
from rtp.errors import ConfigError, UsageError
from rtp.trust import project

if TYPE_CHECKING:
    from collections.abc import Mapping

BUILT_IN = ("local", "dev", "prod")
_REGION = re.compile(tables.REGION)
_OF_THE_ENGINE = {
    "enforce_iam": "AWS always enforces permissions",
    "save_every_s": "AWS's data is durable",
}
_PROJECT_FILES = ("pyproject.toml", "uv.lock")
# Keys of `[processors]` and the fields that hold them.
_PROCESSORS_KEYS = {"path": "processors", "requirements": "requirements", "include": "include", "exclude": "exclude"}


def resolve(
    overrides: Overrides | None = None,
    *,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Environment:
    """Resolve the environment of a command. Raises ConfigError with the file, the key and the allowed values.

    Raises RefusedError for an rtp.toml that another user wrote or can write.

    The name is the first of --env, RTP_ENV, `default_env` and `local`.
    Of the values, the command line overrides `[env.NAME]`, which overrides `[defaults]` and the built-in ones.
    """
    return explain(overrides, cwd=cwd, environ=environ).environment


def explain(
    overrides: Overrides | None = None,
    *,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Resolved:
    """As `resolve`, with the origin of each value. Raises ConfigError."""
    overrides = overrides or Overrides()
    environ = os.environ if environ is None else environ
    cwd = _folder(overrides, environ, Path.cwd() if cwd is None else cwd)
    file = find(cwd)
    if file:
        project.check(file.parent, [file], environ)
    document = reading.load(file) if file else Document()
    where = str(file) if file else FILE
    for section in document.env:
        reading.checked_name(section, where, "environment")
    name, name_origin = _chosen(overrides, environ, document)
    known = sorted({*BUILT_IN, *document.env})
    if name not in known:
        raise ConfigError(
            f"There is no environment {name!r} ({name_origin}).{reading.nearest(name, known)}",
            hint=f"Use one of {', '.join(known)}, or add [env.{name}] to {where}.",
            code="unknown-env",
        )
    origins = {"name": name_origin}
    values: dict[str, Any] = {"protected": name == "prod"}
    tables = {"[defaults]": document.defaults} | {f"[env.{key}]": content for key, content in document.env.items()}
    for label, content in tables.items():  # other environments too, so that their mistakes are found early
        checked = reading.section(content, where, label)
        for key, reason in _OF_THE_ENGINE.items():
            if key in checked and label != "[env.local]":
                raise ConfigError(
                    f"{where}: {key} is set in {label}.",
                    hint=f"{reason}: move it to [env.local], which is the local engine's.",
                )
        if label in ("[defaults]", f"[env.{name}]"):
            _merge(values, origins, checked, content, f"{FILE} {label}")
    for key in ("profile", "region", "endpoint_url"):
        override = getattr(overrides, key)
        if override is not None:
            values[key] = override
            origins[key] = f"--{key.replace('_', '-')}"
    if name == "local" and values.get("endpoint_url") is None:  # elsewhere there is no embedded engine to have it
        _merge_weather(values, origins, environ)
    if not _REGION.fullmatch(values.get("region", "us-east-1")):
        raise ConfigError(f"{values['region']!r} is not an AWS region such as us-east-1.")
    processors = reading.convert(document.processors, Processors, where, "[processors]")
    infra = reading.convert(document.infra, Infra, where, "[infra]")
    origins |= {key: f"{FILE} [infra]" for key in ("extend", "strict") if getattr(infra, key)}
    origins |= {key: FILE for key in ("project", "owner") if getattr(document, key) is not None}
    origins |= {
        field_name: f"{FILE} [processors]"
        for key, field_name in _PROCESSORS_KEYS.items()
        if getattr(processors, key) not in (None, ())
    }
    requirements = _requirements(processors, where)
    environment = Environment(
        name=name,
        root=file.parent if file else cwd,
        file=file,
        project=reading.checked_name(document.project or DEFAULT_PROJECT, where, "project"),
        owner=reading.checked_tag(document.owner or DEFAULT_OWNER, where, "owner"),
        processors=_path(file, processors.path),
        requirements=_path(file, requirements.file) if requirements else None,
        requirement_extras=_names(requirements.extra) if requirements else (),
        requirement_groups=_names(requirements.group) if requirements else (),
        extend=_path(file, infra.extend),
        strict=infra.strict,
        include=processors.include,
        exclude=processors.exclude,
        settings=Settings(**{k: v for k, v in values.items() if k not in PLACE_KEYS}),
        **{k: v for k, v in values.items() if k in PLACE_KEYS},
    )
    if file:  # in a sticky folder, others may have put code beside this user's rtp.toml
        project.check(file.parent, filter(None, (environment.processors, environment.extend)), environ)
    environment = _with_sources(environment, where)
    checks.check(environment, where)
    return Resolved(environment, origins)


def _with_sources(environment: Environment, where: str) -> Environment:
    """The environment with a source for each secret."""
    secrets = secret_sources.resolved(
        environment.settings.secrets,
        project=environment.project,
        env=environment.name,
        local=environment.local,
        where=where,
    )
    return replace(environment, settings=msgspec.structs.replace(environment.settings, secrets=secrets))


def _merge(
    values: dict[str, Any], origins: dict[str, str], checked: Mapping[str, Any], content: Mapping[str, Any], origin: str
) -> None:
    """Let a table's values go before those of the tables above it; tables within them are merged key by key.

    Lists replace those above them, except those for which `is_added` holds. content: the table as written.
    """
    for key, value in checked.items():
        before = values.get(key)
        if not before:
            values[key], origins[key] = value, origin
            continue
        merged = value
        if isinstance(value, dict):
            merged = before | value
        elif isinstance(value, Struct):
            merged = structs.replace(before, **{name: getattr(value, name) for name in content[key]})
        elif is_added(key):
            merged = before + value
        is_whole = merged is value
        values[key], origins[key] = merged, origin if is_whole else f"{origins[key]}, {origin}"


def _merge_weather(values: dict[str, Any], origins: dict[str, str], environ: Mapping[str, str]) -> None:
    """Let RTP_WEATHER and RTP_WEATHER_EFFECTS go before the file's values. Raises ConfigError."""
    text = environ.get("RTP_WEATHER")
    if text:
        named = {"true": True, "false": False}
        if text not in named and not (text.isascii() and text.isdigit() and int(text) <= MAX_SEED):
            raise ConfigError(f"RTP_WEATHER={text!r} is not true, false or a seed such as 7.")
        values["weather"] = named[text] if text in named else int(text)
        origins["weather"] = "RTP_WEATHER"
    if environ.get("RTP_WEATHER_EFFECTS"):
        values["weather_effects"] = tuple(filter(None, environ["RTP_WEATHER_EFFECTS"].split(",")))
        origins["weather_effects"] = "RTP_WEATHER_EFFECTS"


def _folder(overrides: Overrides, environ: Mapping[str, str], cwd: Path) -> Path:
    """The folder in which rtp.toml is looked for first. Raises UsageError where it is chosen and is none."""
    for origin, value in (("--project-dir", overrides.project_dir), ("RTP_PROJECT", environ.get("RTP_PROJECT"))):
        if value is None:
            continue
        folder = Path(os.path.abspath(cwd / Path(value).expanduser()))  # noqa: PTH100 - links stay as they are named
        if not value or not folder.is_dir():
            raise UsageError(f"{origin}={value!r} is not a folder.", hint="Name a folder of the project.")
        return folder
    return cwd


def find(cwd: Path) -> Path | None:
    """Find the nearest rtp.toml in a folder or its parents. Whatever has the name counts, so that a broken one is met.

    Raises ConfigError for a folder that cannot be searched.
    """
    for folder in (cwd, *cwd.parents):
        try:
            os.lstat(folder / FILE)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise ConfigError(
                f"{folder / FILE} cannot be looked for: {error.strerror or error}.",
                hint="Let this user search the folder; another folder's rtp.toml is not used instead.",
            ) from None
        return folder / FILE
    return None


def names(cwd: Path) -> set[str]:
    """The environments of the nearest rtp.toml and the built-in ones. Raises ConfigError."""
    file = find(cwd)
    return {*BUILT_IN, *(reading.load(file).env if file else ())}


def _chosen(overrides: Overrides, environ: Mapping[str, str], document: Document) -> tuple[str, str]:
    """Return the name of the environment and its origin."""
    if overrides.env is not None:
        if not overrides.env:  # such as an unset variable in a script: the default must not be used
            raise UsageError("--env is empty.", hint="Name an environment, or leave --env out.")
        return overrides.env, "--env"
    if environ.get("RTP_ENV"):
        return environ["RTP_ENV"], "RTP_ENV"
    return (document.default_env, f"{FILE} default_env") if document.default_env else ("local", "default")


def _requirements(processors: Processors, where: str) -> RequirementsTable | None:
    """`requirements` of [processors]. Raises ConfigError for an extra or group of a file that has none."""
    given = processors.requirements
    if given is None or isinstance(given, str):
        return None if given is None else RequirementsTable(file=given)
    if (given.extra or given.group) and Path(given.file).name not in _PROJECT_FILES:
        raise ConfigError(
            f"{where}: [processors] requirements: {given.file} has no extras and no groups.",
            hint=f"Name {' or '.join(_PROJECT_FILES)}, or leave `extra` and `group` out.",
        )
    return given


def _names(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _path(file: Path | None, value: str | None) -> Path | None:
    """A path below the folder of rtp.toml. Who uses it checks it (`rtp.config.code_paths`): readers need no code."""
    if value is None or file is None:
        return None
    path: Path = (file.parent / value).resolve()
    return path
