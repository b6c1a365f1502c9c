"""What the functions get: the processors that are declared, the packed files, the layer's packages, the variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.config.permissions import placeholder_values, resolved
from rtp.contract import LOCAL_ACCOUNT
from rtp.errors import ConfigError
from rtp.infra import assets, layer
from rtp.ops.stack.build import processors

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.config import Environment
    from rtp.ops.stack.build.importing import Declared


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A file of the user's code. path: in the zip. bytes: its size."""

    path: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Package:
    """A distribution in the layer. name: as installed. version: its version."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Granted:
    """What rtp.toml allows functions. functions: their names. reason: why a wildcard is allowed; else empty.

    actions, resources: as in IAM; `{account}` stays where rtp.toml names no account.
    """

    functions: list[str]
    actions: list[str]
    resources: list[str]
    reason: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What the functions get.

    module: the module that is imported; empty without processors. processors: what it declares.
    files: the user's files in the zip. left_out: one sentence for each file left out that may be missed.
    packages: distributions in the layer. code_bytes: size of the zip's content, with rtp's own.
    layer_bytes: size of the layer's content. limit_bytes: what Lambda allows for both.
    environment: variables that rtp.toml gives the functions. secrets: source of each secret that they may read.
    permissions: what rtp.toml allows them, besides what rtp needs and `[infra] extend` grants.
    unchecked: why the processors could not be imported in full; empty where they were.
    """

    module: str
    processors: list[Declared]
    files: list[PackedFile]
    left_out: list[str]
    packages: list[Package]
    code_bytes: int
    layer_bytes: int
    limit_bytes: int
    environment: dict[str, str]
    secrets: dict[str, str]
    permissions: list[Granted]
    unchecked: str


def contents(environment: Environment) -> Contents:
    """Pack and import the user's code as a deploy does. Raises ConfigError for what a deploy refuses."""
    sources, requirements = processors.sources_of(environment), processors.requirements_of(environment)
    selection = assets.check(sources)
    entries = assets.entries(selection)
    built = layer.build(environment.state / "layers", layer.platform_of(environment), requirements)
    declared: list[Declared] = []
    doubt = None
    if sources is not None:
        result, doubt = processors.examine(environment, sources, entries, requirements)
        declared = list(result.processors)
    code_bytes, layer_bytes = sum(file.stat().st_size for _, file in entries), sum(layer.sizes(built).values())
    return Contents(
        module=assets.module(sources),
        processors=declared,
        files=[PackedFile(path, file.stat().st_size) for path, file in selection.entries],
        left_out=selection.notes,
        packages=[Package(*pair) for pair in layer.distributions(built)],
        code_bytes=code_bytes,
        layer_bytes=layer_bytes,
        limit_bytes=layer.MAX_BYTES,
        environment=environment.settings.environment,
        secrets=environment.settings.secrets,
        permissions=_permissions(environment),
        unchecked=doubt.message if doubt is not None else "",
    )


def _permissions(environment: Environment) -> list[Granted]:
    names = environment.names
    account = environment.account or (LOCAL_ACCOUNT if environment.local else "{account}")
    values = placeholder_values(environment.project, environment.name, account, environment.region)
    granted = (resolved(permission, values) for permission in environment.settings.permissions)
    functions = [names.processor, names.worker]
    return [Granted(functions, list(g.actions), list(g.resources), g.reason) for g in granted]


def check_size(code: list[tuple[str, Path]], layer_zip: Path) -> None:
    """Refuse what Lambda would refuse after the upload. Raises ConfigError that names the largest parts."""
    code_bytes, layer_bytes = sum(file.stat().st_size for _, file in code), sum(layer.sizes(layer_zip).values())
    if code_bytes + layer_bytes <= layer.MAX_BYTES:
        return
    sizes = {path: file.stat().st_size for path, file in code} | layer.sizes(layer_zip)
    largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:5]
    raise ConfigError(
        f"The functions have {_mb(code_bytes + layer_bytes)} unpacked; Lambda takes {_mb(layer.MAX_BYTES)}.",
        hint=f"The largest: {', '.join(f'{name} {_mb(sizes[name])}' for name in largest)}. "
        "Use `exclude` of [processors], or fewer requirements.",
        code="too-large",
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
