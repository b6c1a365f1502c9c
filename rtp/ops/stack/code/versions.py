"""Published versions of the functions: those of the last releases stay, for a rollback; older ones are deleted.

CloudFormation retains a version when its resource leaves the template, so that an alias can go back to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.aws import resource_types, versions
from rtp.errors import RtpError
from rtp.ops.stack.steps import Warn
from rtp.ops.work import pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rtp.aws import Aws
    from rtp.ops.stack.operation import Target

RELEASES = 10
"""How many releases keep their version: with SnapStart each costs money."""


def prune(target: Target, template: Mapping[str, Any]) -> Iterator[Warn]:
    """Delete the versions that no release of the last ten has, after a deploy of this template.

    One that an alias points at stays, and all stay while a rollout runs. What cannot be deleted is a warning.
    """
    releases = RELEASES if _publishes(template) else 0
    yield from _each(target, lambda name: _delete_old(target.aws, name, releases), "The next deploy tries again.")


def make_room(target: Target, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Warn]:
    """Delete the retained versions of functions that the template `old` does not publish, before `new` publishes them.

    Lambda publishes no second version of unchanged code, and CloudFormation takes the version that there is for a
    failure: an environment that is protected again could not be deployed. Without an alias, nothing calls them.
    """
    if _publishes(new) and not _publishes(old):
        fix = "If the update fails because a version exists, delete that version."
        yield from _each(target, lambda name: _delete_unused(target.aws, name), fix)


def _each(target: Target, action: Callable[[str], None], fix: str) -> Iterator[Warn]:
    if target.environment.local:
        return
    names = (target.environment.names.processor, target.environment.names.worker)

    def attempt(name: str) -> Warn | None:
        try:
            action(name)
        except RtpError as error:
            return Warn(f"Old versions of {name} were not deleted: {error.message} {fix}")
        return None

    yield from (warning for warning in pool.map(attempt, names, threads=len(names)) if warning is not None)


def _delete_old(aws: Aws, name: str, releases: int) -> None:
    published = versions.of_function(aws, name)
    if published.is_shifting:
        return
    for number in published.numbers[releases:]:
        if number not in published.aliased:
            versions.delete(aws, name, number)


def _delete_unused(aws: Aws, name: str) -> None:
    published = versions.of_function(aws, name)
    if not published.aliased:
        for number in published.numbers:
            versions.delete(aws, name, number)


def _publishes(template: Mapping[str, Any]) -> bool:
    resources = template.get("Resources") or {}
    return any(resource.get("Type") == resource_types.VERSION for resource in resources.values())
