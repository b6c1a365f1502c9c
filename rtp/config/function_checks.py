"""Checks of what rtp.toml gives the functions: variables, permissions, network, layers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rtp.config import permissions, secret_sources
from rtp.contract import FunctionEnv, partition
from rtp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.config.settings import Settings

MAX_VARIABLES_BYTES = 3_000  # rtp's own variables take up to 1,096, most of them two queue URLs
# Names that Lambda sets; those that begin with AWS_ it keeps for itself.
_OF_LAMBDA = frozenset({"_HANDLER", "_X_AMZN_TRACE_ID", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "PATH", "PYTHONPATH"})
_LAYER = re.compile(r"arn:([a-z0-9-]+):lambda:([a-z0-9-]+):[0-9]{12}:layer:[A-Za-z0-9_-]+:[0-9]+")


def check(settings: Settings, region: str, where: str) -> None:
    """Check what AWS would refuse in the middle of a deploy, or what would break rtp itself. Raises ConfigError."""
    _check_variables(settings.environment, settings.function_secrets, where)
    _check_webhook(settings, where)
    permissions.check(settings.permissions, region, where)
    _check_vpc(settings, where)
    if settings.snap_start and settings.ephemeral_storage_mb > 512:
        raise ConfigError(
            f"{where}: snap_start and ephemeral_storage_mb = {settings.ephemeral_storage_mb} cannot be combined.",
            hint="Lambda's SnapStart takes 512 MB at most: leave one of them out.",
        )
    for layer in settings.layers:
        _check_layer(layer, region, where)


def _check_variables(variables: Mapping[str, str], secrets: Mapping[str, str], where: str) -> None:
    """What Lambda refuses, or what would change how rtp or Lambda itself works."""
    for name in variables:
        if name in _OF_LAMBDA or name.startswith(("AWS_", "RTP_")):
            owner = "rtp" if name.startswith("RTP_") else "Lambda"
            raise ConfigError(
                f"{where}: environment: {name} belongs to {owner}.", hint="Choose another name for your variable."
            )
    both = sorted(variables.keys() & secrets.keys())
    if both:
        raise ConfigError(
            f"{where}: {both[0]} is in environment and in secrets.",
            hint="Keep it in secrets: everybody who may read the stack can read a variable.",
        )
    sources = secret_sources.encoded(secrets)
    given = {**variables, FunctionEnv.SECRETS: sources} if sources else variables
    size = sum(len(name.encode()) + len(value.encode()) for name, value in given.items())
    if size > MAX_VARIABLES_BYTES:
        raise ConfigError(
            f"{where}: environment, with the sources of secrets, has {size:,} bytes; "
            f"rtp leaves {MAX_VARIABLES_BYTES:,} of Lambda's 4,096.",
            hint="Keep long values in a file of your package.",
        )


def _check_webhook(settings: Settings, where: str) -> None:
    name = settings.alarm_webhook
    if name is not None and name not in settings.secrets:
        raise ConfigError(
            f"{where}: alarm_webhook = {name!r} is not one of `secrets`.",
            hint="Add it there, and set it with `rtp secrets set`: its value is the webhook's address.",
        )


def _check_vpc(settings: Settings, where: str) -> None:
    missing = [name for name in ("subnets", "security_groups") if not getattr(settings.vpc, name)]
    if len(missing) == 1:
        raise ConfigError(
            f"{where}: vpc has no {missing[0]}.",
            hint="Name both subnets and security_groups; both empty for functions outside a VPC.",
        )


def _check_layer(layer: str, region: str, where: str) -> None:
    permissions.check_placeholders(layer, f"{where}: layers")
    arn = _LAYER.fullmatch(permissions.filled(layer, permissions.placeholder_values("p", "e", "0" * 12, region)))
    if arn is None:
        raise ConfigError(
            f"{where}: layers: {layer!r} is not the ARN of a layer version.",
            hint="Write it whole, such as arn:aws:lambda:{region}:111122223333:layer:ffmpeg:3.",
        )
    if arn.groups() != (partition(region), region):
        raise ConfigError(
            f"{where}: layers: {layer!r} is in {arn[2]}, and the functions are in {region}.",
            hint="Lambda takes only layers of its own region: set layers under [env.NAME], or write {region}.",
        )
