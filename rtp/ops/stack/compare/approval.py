"""What a prepared change set would do, and which questions must be answered before it is applied."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rtp.aws import resource_types
from rtp.errors import RefusedError
from rtp.ops.access.question import Question
from rtp.ops.stack.compare.changes import ResourceChange, as_replaced, compare
from rtp.ops.stack.compare.security import widenings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.aws.changesets import ChangeSet
    from rtp.config import Environment
    from rtp.ops.stack.compare.security import Widening


@dataclass(frozen=True, slots=True)
class Plan:
    """What a deploy is about to apply, or would apply without --dry-run.

    operation: create or update. changes: resources that change. widens: what would be allowed that is not allowed now.
    """

    stack: str
    operation: str
    changes: tuple[ResourceChange, ...]
    widens: tuple[Widening, ...] = ()

    @property
    def losses(self) -> tuple[ResourceChange, ...]:
        """Resources whose data would be gone."""
        return tuple(c for c in self.changes if c.loses_data)


def plan(
    stack: str,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    paths: Mapping[str, str],
    change_set: ChangeSet | None,
    *,
    create: bool,
) -> Plan:
    """The differences of the templates, with what CloudFormation knows better where it was asked."""
    changes = compare(old, new, paths)
    if change_set is not None:
        changes = _merged(changes, change_set, old, new, paths)
    return Plan(stack, "create" if create else "update", changes, widenings(old, new, paths))


def questions(plan: Plan, environment: Environment) -> list[Question]:
    """What must be consented to. A first deploy to an engine on this machine puts nothing at risk."""
    update = plan.operation == "update"
    if environment.local and not update:
        return []
    about = []
    if plan.widens and update:
        about.append("It allows more than before, as listed above.")
    calling = [c.path or c.logical_id for c in plan.losses if resource_types.of(c.resource_type).calls_function]
    holding = [c for c in plan.losses if not resource_types.of(c.resource_type).calls_function]
    replaced = [c.path or c.logical_id for c in holding if c.action == "replace"]
    removed = [c.path or c.logical_id for c in holding if c.action == "remove"]
    if replaced:
        about.append(f"{', '.join(replaced)} would be replaced by a new, empty one. Its data would be lost.")
    if removed:
        about.append(f"{', '.join(removed)} would be deleted with its data.")
    if calling:
        about.append(f"{', '.join(calling)} would be removed; that calls its function, which may delete data.")
    if not about and update and not environment.protected:
        return []
    return [Question(f"{'Update' if update else 'Create'} {plan.stack} ({environment.name})?", tuple(about))]


def unprotecting(stack: str, env: str) -> Question:
    """The question before a deploy takes the protection from a stack, which the rtp.toml here does not ask for.

    That may be an older one, or another branch's.
    """
    about = (
        f"{stack} was deployed as protected, and rtp.toml does not protect {env} here. This deploy would end that: the "
        "stack could be deleted with its data, and changes would ask less.",
    )
    return Question(f"Deploy {stack} without protection?", about, stack)


def check_data(plan: Plan) -> None:
    """Raises RefusedError where a resource that holds data would be replaced or removed, whether it is retained or not.

    A table that its template retains outlives its replacement, and the pipeline would go on with an empty one.
    """
    touched = [c for c in plan.changes if c.loses_data or (_holds_data(c) and _goes(c))]
    if not touched:
        return
    *others, last = [c.path or c.logical_id for c in touched]
    named = f"{', '.join(others)} and {last}" if others else last
    verbs = {"replaced" if c.action != "remove" else "deleted" for c in touched}
    raise RefusedError(
        f"{plan.stack} cannot go back to that release: {named} would be {' or '.join(sorted(verbs))}, with the data.",
        hint="Choose another release, or correct the code and run `rtp deploy`.",
        code="rollback-loses-data",
    )


def _holds_data(change: ResourceChange) -> bool:
    known = resource_types.of(change.resource_type)
    return known.holds_data and not known.recreated


def _goes(change: ResourceChange) -> bool:
    return change.action in ("replace", "remove") or change.maybe


def _merged(
    changes: tuple[ResourceChange, ...],
    change_set: ChangeSet,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    paths: Mapping[str, str],
) -> tuple[ResourceChange, ...]:
    by_id = {c.logical_id: c for c in change_set.changes}
    merged = []
    for change in changes:
        reported = by_id.pop(change.logical_id, None)
        if reported is not None and reported.replacement == "True" and change.action == "modify":
            change = as_replaced(change, old, new)
        elif reported is not None and reported.replacement == "Conditional":
            change = replace(change, maybe=True)
        if reported is not None and reported.recreates:
            change = replace(change, action="recreate", maybe=False, loses_data=False)
        merged.append(change)
    for c in by_id.values():
        action = "recreate" if c.recreates else "revert" if c.reverts else "modify"
        change = ResourceChange(action, c.logical_id, c.resource_type, paths.get(c.logical_id, ""))
        if c.replacement == "True" and not c.recreates:
            merged.append(as_replaced(change, old, new))
        elif action != "modify":  # the others are mere consequences of these
            merged.append(change)
    return tuple(merged)
