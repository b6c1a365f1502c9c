"""What differs between two templates: resources, their properties, and whether data would be lost. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rtp.aws import resource_types
from rtp.contract import EMPTIER_HANDLER, EMPTIER_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

KEEPS = ("Retain", "RetainExceptOnCreate", "Snapshot")
_SHORT = 160
_HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{28,}")


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """One property that would change.

    path: dotted, such as `Environment.Variables.RTP_ENV`. before: its value now; null where it is absent.
    after: its next value; null where it is absent.
    """

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """One resource that would change.

    action: add, modify, replace or remove; recreate or revert what was deleted or changed outside CloudFormation.
    properties: those that change.
    maybe: whether it may be replaced, depending on values that are not known yet.
    loses_data: it would be replaced or removed, its template does not retain it, and it holds data, or its function is
    called for that and may delete data.
    """

    action: str
    logical_id: str
    resource_type: str
    path: str
    properties: tuple[PropertyChange, ...] = ()
    maybe: bool = False
    loses_data: bool = False


def compare(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    paths: Mapping[str, str],
    replaces: Callable[[str, str], str] = lambda _type, _property: "no",
) -> tuple[ResourceChange, ...]:
    """Resources that differ, in the order of the new template, then the removed ones.

    paths: logical id -> construct path. replaces: (type, property) -> yes, maybe or no.
    """
    before, after = dict(old.get("Resources", {})), dict(new.get("Resources", {}))
    changes = []
    for logical_id, resource in after.items():
        path = paths.get(logical_id, "")
        was = before.pop(logical_id, None)
        if was is None:
            changes.append(ResourceChange("add", logical_id, resource["Type"], path))
        elif _meaningful(was) != _meaningful(resource):
            changes.append(_modified(logical_id, path, old, new, replaces))
    for logical_id, was in before.items():
        loses_data = _at_risk(was, old) and was.get("DeletionPolicy") not in KEEPS
        changes.append(
            ResourceChange("remove", logical_id, was["Type"], paths.get(logical_id, ""), loses_data=loses_data)
        )
    return tuple(changes)


def as_replaced(change: ResourceChange, old: Mapping[str, Any], new: Mapping[str, Any]) -> ResourceChange:
    """A modification that turned out to be a replacement. The data is kept only where both templates retain it."""
    was, now = (t.get("Resources", {}).get(change.logical_id, {}) for t in (old, new))
    loses_data = _at_risk(was, old) and not all(r.get("UpdateReplacePolicy") in KEEPS for r in (was, now))
    return replace(change, action="replace", maybe=False, loses_data=loses_data)


def is_guarded(resource: Mapping[str, Any], template: Mapping[str, Any]) -> bool:
    """Whether this is the emptying of buckets by a function that empties them only with the whole stack."""
    token = resource.get("Properties", {}).get("ServiceToken")
    target = token.get("Fn::GetAtt") if isinstance(token, dict) else None
    logical_id = target[0] if isinstance(target, list) and target else str(target).partition(".")[0]
    function = template.get("Resources", {}).get(logical_id, {})
    return bool(
        resource.get("Type") == EMPTIER_TYPE and function.get("Properties", {}).get("Handler") == EMPTIER_HANDLER
    )


def compare_outputs(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[PropertyChange, ...]:
    """Outputs whose value differs."""
    before = {k: v.get("Value") for k, v in old.get("Outputs", {}).items()}
    after = {k: v.get("Value") for k, v in new.get("Outputs", {}).items()}
    return tuple(differences(before, after))


def differences(before: Any, after: Any, path: str = "") -> Iterator[PropertyChange]:
    """The leaves that differ. A list whose length differs, and an intrinsic function, is a leaf."""
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict) and not (_intrinsic(before) or _intrinsic(after)):
        for key in [*before, *(k for k in after if k not in before)]:
            yield from differences(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    else:
        yield PropertyChange(path, before, after)


def to_text(value: Any, paths: Mapping[str, str], *, limit: int = _SHORT) -> str:
    """A template's value as people read it: references by construct path, joins joined."""
    text = _HASH.sub(r"\1…", _to_text(value, paths))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _modified(
    logical_id: str,
    path: str,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    replaces: Callable[[str, str], str],
) -> ResourceChange:
    was, now = old["Resources"][logical_id], new["Resources"][logical_id]
    kind = now["Type"]
    properties = (
        *differences(was.get("Properties", {}), now.get("Properties", {})),
        *(
            PropertyChange(key, was.get(key), now.get(key))
            for key in sorted({*was, *now} - {"Properties", "Metadata", "DependsOn"})
            if was.get(key) != now.get(key)
        ),
    )
    verdicts = {replaces(kind, p.path.split(".")[0].split("[")[0]) for p in properties}
    change = ResourceChange("modify", logical_id, kind, path, properties, maybe="maybe" in verdicts)
    if was["Type"] != kind or "yes" in verdicts:
        return as_replaced(change, old, new)
    return change


def _at_risk(resource: Mapping[str, Any], template: Mapping[str, Any]) -> bool:
    """Whether data may be lost with the resource: its own, or what its function deletes."""
    known = resource_types.of(resource.get("Type", ""))
    return known.holds_data or (known.calls_function and not is_guarded(resource, template))


def _meaningful(resource: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in resource.items() if k not in ("Metadata", "DependsOn")}


def _intrinsic(value: dict[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::", "Condition"))


def _to_text(value: Any, paths: Mapping[str, str]) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(_to_text(v, paths) for v in value)
    if not isinstance(value, dict):
        return str(value)
    if not _intrinsic(value):
        return "{" + ", ".join(f"{k}: {_to_text(v, paths)}" for k, v in value.items()) + "}"
    function, argument = next(iter(value.items()))
    if function == "Ref":
        return {"AWS::Partition": "aws", "AWS::NoValue": "-"}.get(str(argument), paths.get(argument, str(argument)))
    if function == "Fn::GetAtt" and isinstance(argument, list):
        return f"{paths.get(argument[0], argument[0])}.{'.'.join(map(str, argument[1:]))}"
    if function == "Fn::Join" and isinstance(argument, list) and len(argument) == 2 and isinstance(argument[1], list):
        return str(argument[0]).join(_to_text(v, paths) for v in argument[1])
    return f"{function.removeprefix('Fn::')}({_to_text(argument, paths)})"
