"""`permissions` of rtp.toml: what the functions' roles allow besides what rtp itself needs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from rtp.contract import partition
from rtp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_CHARACTERS = (
    7_000  # IAM takes 10,240 of all inline policies of a role; rtp's own and those of `vpc` are below 3,000
)
_ACTION = re.compile(r"[a-z0-9-]+:[A-Za-z*?][A-Za-z0-9*?]*")
_ARN = re.compile(r"arn:(?P<partition>[a-z0-9-]+):[a-z0-9-]+:[a-z0-9*?-]*:[a-z0-9*?-]*:\S+")
_PLACEHOLDER = re.compile(r"(?<!\$)\{([^{}]*)\}")  # ${…} is a variable of IAM
PLACEHOLDERS = ("project", "env", "account", "region", "partition")


class Permission(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of `permissions`. allow_wildcard: it may contain `*` alone. reason: why it must."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    allow_wildcard: bool = False
    reason: str = ""


def filled(text: str, values: Mapping[str, str]) -> str:
    """Replace the placeholders such as `{region}`."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)


def resolved(permission: Permission, values: Mapping[str, str]) -> Permission:
    """Replace the placeholders in the resources of a permission."""
    return structs.replace(permission, resources=tuple(filled(r, values) for r in permission.resources))


def check(permissions: Sequence[Permission], region: str, where: str) -> None:
    """Check actions, resources and wildcards. Raises ConfigError that names the entry and the fix."""
    for permission in permissions:
        _check(permission, region, f"{where}: permissions ({', '.join(permission.actions) or 'no actions'})")
    size = sum(len(json.dumps([p.actions, p.resources])) for p in permissions)
    if size > MAX_CHARACTERS:
        raise ConfigError(
            f"{where}: permissions has {size:,} characters; rtp leaves {MAX_CHARACTERS:,} of the 10,240 that IAM takes "
            "of a role.",
            hint="Use fewer resources with a wildcard at their end, or attach a managed policy in `[infra] extend`.",
        )


def check_placeholders(text: str, where: str) -> None:
    """Raises ConfigError for a placeholder that does not exist."""
    for name in _PLACEHOLDER.findall(text):
        if name not in PLACEHOLDERS:
            raise ConfigError(
                f"{where}: {text!r} has an unknown placeholder {{{name}}}.",
                hint=f"There are {', '.join(f'{{{p}}}' for p in PLACEHOLDERS)}.",
            )


def _check(permission: Permission, region: str, where: str) -> None:
    for what, values in (("actions", permission.actions), ("resources", permission.resources)):
        if not values:
            raise ConfigError(
                f"{where}: {what} is empty.", hint=f"Name at least one of the {what}, or remove the entry."
            )
    for action in permission.actions:
        if action != "*" and not _ACTION.fullmatch(action):
            raise ConfigError(
                f"{where}: {action!r} is not an action of IAM.",
                hint="Write service:Action as IAM does, such as dynamodb:GetItem or s3:Get*.",
            )
    for resource in permission.resources:
        _check_resource(resource, region, where)
    if "*" in permission.actions + permission.resources:
        _check_wildcard(permission, where)
    elif permission.allow_wildcard and not permission.reason.strip():
        raise ConfigError(f"{where}: allow_wildcard needs a reason.", hint='Add reason = "why this is needed".')


def _check_resource(resource: str, region: str, where: str) -> None:
    if resource == "*":
        return
    check_placeholders(resource, where)
    sample = {"project": "p", "env": "e", "account": "0" * 12, "region": region, "partition": partition(region)}
    arn = _ARN.fullmatch(filled(resource, sample))
    if arn is None:
        raise ConfigError(
            f"{where}: {resource!r} is not an ARN.",
            hint="Write it whole, such as arn:{partition}:dynamodb:{region}:{account}:table/{project}-{env}-prices.",
        )
    if arn["partition"] != partition(region):
        raise ConfigError(
            f"{where}: {resource!r} is of the partition {arn['partition']}, and {region} is in {partition(region)}.",
            hint="Write {partition} in its place.",
        )


def _check_wildcard(permission: Permission, where: str) -> None:
    what = "every action" if "*" in permission.actions else "every resource"
    if not permission.allow_wildcard:
        raise ConfigError(
            f"{where}: * alone means {what}.",
            hint='Name them; or, if it must be, add allow_wildcard = true and reason = "why this is needed".',
        )
    if not permission.reason.strip():
        raise ConfigError(
            f"{where}: allow_wildcard needs a reason.", hint='Add reason = "why this is needed" to the entry.'
        )


def placeholder_values(project: str, env: str, account: str, region: str) -> dict[str, str]:
    """Values of all placeholders."""
    return dict(zip(PLACEHOLDERS, (project, env, account, region, partition(region)), strict=True))
