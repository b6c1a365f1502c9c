"""The secrets of an environment's functions: which are set, setting and deleting them. Their values are never shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rtp.aws import secrets
from rtp.config import reading, secret_sources
from rtp.config.secret_sources import SSM, Source
from rtp.contract import MANAGED_BY, Tag
from rtp.errors import AwsError, ConfigError, NotFoundError, RefusedError, UsageError
from rtp.ops import envfile
from rtp.text import suggest, times

if TYPE_CHECKING:
    from rtp.aws import Aws
    from rtp.aws.secrets import Stored
    from rtp.config import Environment

State = Literal["set", "missing", "unchecked", "undeclared"]


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret, without its value.

    name: as code names it. source: its place. state: set; missing; unchecked, where it could not be looked up;
    undeclared, where rtp.toml no longer declares it. changed: when its value was last set, ISO 8601; null where that is
    not known. note: what is wrong with it, or why it is not known; else empty.
    """

    name: str
    source: str
    state: State
    changed: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of an environment.

    secrets: those that rtp.toml declares, then those that it no longer does.
    """

    env: str
    stack: str
    secrets: list[Secret]

    @property
    def missing(self) -> list[Secret]:
        """Those that are declared and have no value."""
        return [secret for secret in self.secrets if secret.state == "missing"]


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to a secret.

    source: its place. status: created, updated or deleted.
    """

    name: str
    source: str
    status: str


def listing(aws: Aws, environment: Environment) -> Secrets:
    """Every declared secret with its state, and those of rtp's that are not declared any more. Raises AwsError."""
    declared = declared_states(aws, environment)
    rest = [
        Secret(name, f"{SSM}:{place}", "undeclared", _iso(stored), "rtp.toml does not declare it")
        for place, stored in _leftovers(aws, environment).items()
        for name in [place.rpartition("/")[2]]
    ]
    return Secrets(environment.name, environment.names.stack, [*declared, *rest])


def declared_states(aws: Aws, environment: Environment) -> list[Secret]:
    """The secrets that rtp.toml declares, each with its state. Raises AwsError."""
    declared = environment.settings.secrets
    sources = {name: secret_sources.parse(text) for name, text in declared.items()}
    names = [source.id for source in sources.values() if source.service == SSM and not source.region]
    parameters = secrets.parameters(aws, sorted(set(names))) if names else {}
    return [_state(aws, environment, name, source, parameters) for name, source in sources.items()]


def own(aws: Aws, environment: Environment) -> dict[str, Stored]:
    """The environment's own secrets that exist, declared or not: by parameter. Raises AwsError."""
    declared = [
        s.id for s in map(secret_sources.parse, environment.settings.secrets.values()) if is_own(environment, s)
    ]
    return secrets.parameters(aws, declared) | _leftovers(aws, environment)


def is_own(environment: Environment, source: Source) -> bool:
    """Whether a secret is in the environment's own folder of SSM; others may be used elsewhere too."""
    folder = secret_sources.folder(environment.project, environment.name)
    return source.service == SSM and not source.region and source.id.rpartition("/")[0] == folder


def set_value(aws: Aws, environment: Environment, name: str, value: str) -> Change:
    """Set a declared secret. Raises ConfigError where it is not declared, UsageError for what cannot be a value."""
    source = declared_source(environment, name)
    _check_place(aws, environment, name, source)
    check_value(name, source, value)
    tags = _tags(environment)
    key = environment.settings.secrets_key or ""
    if source.service == SSM:
        if not key and (stored := secrets.parameters(aws, [source.name]).get(source.name)) is not None:
            key = stored.key
        is_new = secrets.put_parameter(aws, source.name, value, key=key, tags=tags)
    elif source.key:
        is_new = secrets.put_member(aws, source.id, source.key, value, key=key, tags=tags)
    else:
        is_new = secrets.put_secret(aws, source.id, value, key=key, tags=tags)
    return Change(name, environment.settings.secrets[name], "created" if is_new else "updated")


def delete(aws: Aws, environment: Environment, name: str) -> Change:
    """Delete a secret, also one of rtp's that is not declared any more. Raises NotFoundError where it has no value."""
    text = environment.settings.secrets.get(name) or secret_sources.own(environment.project, environment.name, name)
    source = secret_sources.parse(text)
    _check_place(aws, environment, name, source)
    if name not in environment.settings.secrets and source.id not in _leftovers(aws, environment):
        raise _undeclared(environment, name)
    if source.key and not aws.local:
        raise RefusedError(
            f"{name} is one member of the secret {source.id}, which others may use.",
            hint="Delete the member, or the secret, in Secrets Manager.",
            code="shared-secret",
        )
    is_parameter = source.service == SSM
    deleted = secrets.delete_parameter(aws, source.name) if is_parameter else secrets.delete_secret(aws, source.id)
    if not deleted:
        raise NotFoundError(f"{name} is not set ({text}).", hint="Run `rtp secrets list`.", code="secret-not-set")
    return Change(name, text, "deleted")


def seed(aws: Aws, environment: Environment) -> list[str]:
    """Set the missing secrets of the local engine that `.env.local` has; returns their names. Raises ConfigError."""
    if not environment.local or not environment.settings.secrets:
        return []
    values = envfile.of_project(environment.root)
    missing = [s.name for s in declared_states(aws, environment) if s.state == "missing" and values.get(s.name)]
    for name in missing:
        set_value(aws, environment, name, values[name])
    return missing


def require(aws: Aws, environment: Environment) -> list[str]:
    """Raises ConfigError where own secrets have no value; returns a warning for each other that may not be readable."""
    if not environment.settings.secrets:
        return []
    try:
        states = declared_states(aws, environment)
    except AwsError as error:
        if error.code != "access-denied":
            raise
        return [f"Whether the secrets are set could not be checked: {error.message}"]
    missing = [s for s in states if s.state == "missing"]
    mine = [s.name for s in missing if is_own(environment, secret_sources.parse(s.source))]
    if mine:
        raise ConfigError(
            f"{environment.names.stack} has no value for {', '.join(mine)}; nothing was deployed.",
            hint=how_to_set(mine, local=environment.local, then=", then deploy again"),
            code="missing-secrets",
        )
    notes = [f"The secret {s.name} ({s.source}) is not set; events that use it fail until it is." for s in missing]
    return notes + [f"The secret {s.name}: {s.note}." for s in states if s.state != "missing" and s.note]


def how_to_set(names: list[str], *, local: bool, then: str = "") -> str:
    """How to set secrets that are missing, as the fix of an error or a check. then: what to do after that."""
    commands = [suggest.sentence("{}", suggest.command("rtp", "secrets", "set", values=[name])) for name in names]
    also = f", or put {'it' if len(names) == 1 else 'them'} into {envfile.LOCAL}" if local else ""
    return f"Run {', '.join(commands)}{also}{then}."


def declared_source(environment: Environment, name: str) -> Source:
    """The source of a declared secret. Raises ConfigError for another name."""
    if name not in environment.settings.secrets:
        raise _undeclared(environment, name)
    return secret_sources.parse(environment.settings.secrets[name])


def check_value(name: str, source: Source, value: str) -> None:
    """Raises UsageError for an empty value and for one that is too long."""
    most = secrets.MAX_PARAMETER_BYTES if source.service == SSM else secrets.MAX_BYTES
    size = len(value.encode("utf-8", "surrogatepass"))
    if not value:
        raise UsageError(f"The value of {name} is empty.", hint="Run `rtp secrets delete` to remove a secret.")
    if size > most:
        more = " A secret of Secrets Manager takes 65,536." if source.service == SSM else ""
        raise UsageError(f"The value of {name} has {size:,} bytes; its place takes {most:,}.{more}")


def _state(aws: Aws, environment: Environment, name: str, source: Source, parameters: dict[str, Stored]) -> Secret:
    text = environment.settings.secrets[name]
    if source.service == SSM and source.region:
        return Secret(name, text, "unchecked", note="a parameter that is named by its ARN is not looked up")
    try:
        stored = parameters.get(source.id) if source.service == SSM else _in_secrets_manager(aws, source)
    except AwsError as error:
        if error.code != "access-denied":
            raise
        return Secret(name, text, "unchecked", note=error.message)
    if stored is None:
        return Secret(name, text, "missing")
    if stored.ending:
        return Secret(name, text, "missing", note="it is scheduled for deletion")
    return Secret(name, text, "set", _iso(stored), "" if stored.encrypted else "it is not encrypted (type String)")


def _in_secrets_manager(aws: Aws, source: Source) -> Stored | None:
    if source.region and source.region != aws.region:
        raise AwsError(f"it is in {source.region}, and was not looked up", code="access-denied")
    return secrets.secret(aws, source.id)


def _leftovers(aws: Aws, environment: Environment) -> dict[str, Stored]:
    """Parameters in the environment's own folder that rtp has created and rtp.toml no longer declares."""
    folder = secret_sources.folder(environment.project, environment.name)
    declared = {secret_sources.parse(text).id for text in environment.settings.secrets.values()}
    tags = _tags(environment)
    return {
        place: stored
        for place, stored in secrets.parameters_in(aws, folder).items()
        if place not in declared and tags.items() <= secrets.parameter_tags(aws, place).items()
    }


def _check_place(aws: Aws, environment: Environment, name: str, source: Source) -> None:
    if source.region and (source.region, source.account) != (aws.region, aws.account):
        raise RefusedError(
            f"{name} is in account {source.account}, {source.region}; {environment.name} is another place.",
            hint="Change it there.",
            code="another-place",
        )


def _undeclared(environment: Environment, name: str) -> ConfigError:
    declared = environment.settings.secrets
    return ConfigError(
        f"rtp.toml declares no secret {name!r} for {environment.name}.{reading.nearest(name, declared)}",
        hint=f"Add it to `secrets` under [defaults] or [env.{environment.name}]"
        f"{'; declared: ' + ', '.join(declared) if declared else ''}.",
        code="unknown-secret",
    )


def _tags(environment: Environment) -> dict[str, str]:
    """Tags of a new secret: those by which a stack's resources are found, too."""
    return {
        Tag.PROJECT.value: environment.project,
        Tag.ENVIRONMENT.value: environment.name,
        Tag.MANAGED_BY.value: MANAGED_BY,
    }


def _iso(stored: Stored) -> str | None:
    return None if stored.changed is None else times.iso(stored.changed.timestamp() * 1000)
