"""Where the value of each secret is: the forms of `secrets` in rtp.toml, checked and resolved."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from rtp.contract import partition
from rtp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SSM, SECRETS_MANAGER = "ssm", "secretsmanager"
FORMS = '"ssm:/path", "secretsmanager:name#key" or an ARN of one of the two'
KEY = r"^(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)/[\w/-]+|alias/[\w/-]+|[0-9a-f-]{36}|mrk-[0-9a-f]{32})$"
_RESERVED = ("aws", "ssm")  # SSM refuses names that begin with one of these, in any case
_PARAMETER = re.compile(r"/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_SECRET = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
_ARN = re.compile(
    r"arn:aws[a-z-]*:(?P<service>ssm|secretsmanager):(?P<region>[a-z0-9-]+):(?P<account>\d{12}):(?P<rest>.+)"
)
_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}$")  # that Secrets Manager adds to the name in an ARN


class Source(NamedTuple):
    """The place of one secret's value.

    service: ssm or secretsmanager. id: what the service calls it, a name or an ARN. key: the member of a JSON secret;
    empty for the whole value. region, account: of an ARN; else empty.
    """

    service: str
    id: str
    key: str = ""
    region: str = ""
    account: str = ""

    @property
    def text(self) -> str:
        """The form that the functions read (rtp/runtime/secrets.py): service, id and key."""
        return f"{self.service}:{self.id}{f'#{self.key}' if self.key else ''}"

    @property
    def name(self) -> str:
        """The name without the rest of an ARN; a parameter's begins with a slash where its path does."""
        if not self.region:
            return self.id
        rest = self.id.split(":", 5)[5]
        if self.service == SSM:
            return rest.removeprefix("parameter")
        return _SUFFIX.sub("", rest.removeprefix("secret:"))

    def arn(self, partition: str, region: str, account: str) -> str:
        """The ARN for a policy. Of a secret that is named, the six characters at its end are not known."""
        if self.region:
            is_open = self.service == SECRETS_MANAGER and not _SUFFIX.search(self.id)
            return f"{self.id}-??????" if is_open else self.id
        place = f"arn:{partition}:{self.service}:{region}:{account}"
        if self.service == SSM:
            return f"{place}:parameter{'' if self.id.startswith('/') else '/'}{self.id}"
        return f"{place}:secret:{self.id}-??????"


def parse(text: str) -> Source:
    """Parse one source. Raises ValueError that says what is wrong."""
    place, _, key = text.partition("#")
    if arn := _ARN.fullmatch(place):
        source = Source(arn["service"], place, key, arn["region"], arn["account"])
        expected = "parameter/" if source.service == SSM else "secret:"
        if not arn["rest"].startswith(expected):
            raise ValueError(f"{text!r} is not the ARN of a parameter or a secret")
    else:
        service, _, name = place.partition(":")
        if service not in (SSM, SECRETS_MANAGER):
            raise ValueError(f"{text!r} is not {FORMS}")
        source = Source(service, name, key)
    pattern = _PARAMETER if source.service == SSM else _SECRET
    if not pattern.fullmatch(source.name):
        raise ValueError(f"{text!r} has a name that {source.service} does not take")
    if source.service == SSM and key:
        raise ValueError(f"{text!r}: only a secret of Secrets Manager has a #key")
    if source.service == SSM and source.name.lstrip("/").lower().startswith(_RESERVED):
        raise ValueError(f"{text!r}: SSM refuses names that begin with aws or ssm")
    return source


def alias_of(key: str) -> str:
    """The alias that names a KMS key; empty where its id or ARN does."""
    name = key.rpartition(":")[2]
    return name if name.startswith("alias/") else ""


def key_arn(key: str, region: str, account: str) -> str:
    """A KMS key's ARN for a policy; all keys where an alias names it, which `key_condition` then limits."""
    place = key.rpartition(":")[0] if key.startswith("arn:") else f"arn:{partition(region)}:kms:{region}:{account}"
    if alias_of(key):
        return f"{place}:key/*"
    return key if key.startswith("arn:") else f"{place}:key/{key}"


def key_condition(key: str, services: Iterable[str], region: str) -> dict[str, dict[str, Any]]:
    """The condition of a policy for a KMS key: used through these services alone, and the one with the alias."""
    suffixes = ("amazonaws.com", "amazonaws.com.cn") if partition(region) == "aws-cn" else ("amazonaws.com",)
    via = sorted(f"{service}.{region}.{suffix}" for service in services for suffix in suffixes)
    condition: dict[str, dict[str, Any]] = {"StringEquals": {"kms:ViaService": via}}
    if alias := alias_of(key):
        condition["ForAnyValue:StringEquals"] = {"kms:ResourceAliases": alias}
    return condition


def own(project: str, env: str, name: str) -> str:
    """The environment's own place for a secret: where it is unless rtp.toml says otherwise."""
    return f"{SSM}:{folder(project, env)}/{name}"


def folder(project: str, env: str) -> str:
    """The SSM path below which an environment's own secrets are."""
    return f"/{project}/{env}"


def as_table(content: Any) -> Any:
    """A table of rtp.toml with `secrets` as a table, where it is a list of names: these have no source of their own."""
    secrets = content.get("secrets") if isinstance(content, dict) else None
    if isinstance(secrets, list) and all(isinstance(name, str) for name in secrets):
        return {**content, "secrets": dict.fromkeys(secrets, "")}
    return content


def check(secrets: Mapping[str, str], where: str, label: str) -> None:
    """Check names and sources of one table of rtp.toml. Raises ConfigError."""
    for name, source in secrets.items():
        if name.lower().startswith(_RESERVED):
            raise ConfigError(
                f"{where}: {label} secrets: {name} begins with {name[:3]}, which SSM keeps for AWS.",
                hint="Choose another name for the secret.",
            )
        try:
            if source:
                parse(source)
        except ValueError as error:
            raise ConfigError(f"{where}: {label} secrets: {name}: {error}.", hint=f"Write {FORMS}.") from None


def resolved(secrets: Mapping[str, str], *, project: str, env: str, local: bool, where: str) -> dict[str, str]:
    """The secrets with a source each. Raises ConfigError where the own place is one that SSM refuses.

    local: an emulator on this machine, which has no other account's or region's: of an ARN only the name counts there.
    """
    sources = {}
    for name, given in secrets.items():
        source = given or own(project, env, name)
        if not given and project.startswith(_RESERVED):
            raise ConfigError(
                f"{where}: the secret {name} would be {source[4:]}; SSM refuses names that begin with {project[:3]}.",
                hint=f'Give it a place: secrets = {{ {name} = "ssm:/another/path" }}',
            )
        if local and source.startswith("arn:"):
            parsed = parse(source)
            source = Source(parsed.service, parsed.name, parsed.key).text
        sources[name] = source
    return sources


def encoded(secrets: Mapping[str, str]) -> str:
    """The value of the functions' variable with the source of each secret, as JSON; empty without any."""
    texts = {name: parse(source).text for name, source in secrets.items()}
    return json.dumps(texts, separators=(",", ":")) if texts else ""
