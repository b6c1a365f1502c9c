"""What a new template allows that the old one did not: IAM, KMS and resource policies, encryption, protection. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from rtp.aws import resource_types
from rtp.ops.stack.compare.changes import KEEPS, to_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


# An API without a resource policy takes calls from anywhere; a policy only makes that narrower.
_ANY_CALLER = {
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*"}]
}


@dataclass(frozen=True, slots=True)
class Widening:
    """One thing that is less guarded than before. what: a phrase such as `allows s3:GetObject on …`."""

    logical_id: str
    path: str
    resource_type: str
    what: str


@dataclass(frozen=True, slots=True)
class _Statement:
    deny: bool
    principals: frozenset[str]
    actions: frozenset[str]
    resources: frozenset[str]
    conditions: frozenset[str]  # as JSON, one each; more of them make an Allow narrower
    exotic: str  # NotAction and the like, compared as a whole

    def within(self, other: _Statement) -> bool:
        """Whether `other` covers this: nobody and nothing here that is not there, and under no fewer conditions."""
        return (
            self.deny == other.deny
            and self.exotic == other.exotic
            and other.conditions <= self.conditions
            and _covered(self.principals, other.principals)
            and _covered(self.actions, other.actions)
            and _covered(self.resources, other.resources)
        )


def widenings(old: Mapping[str, Any], new: Mapping[str, Any], paths: Mapping[str, str]) -> tuple[Widening, ...]:
    """Everything that the new template guards less than the old one, resource by resource."""
    before, after = old.get("Resources", {}), new.get("Resources", {})
    return tuple(
        Widening(logical_id, paths.get(logical_id, ""), resource["Type"], what)
        for logical_id, resource in after.items()
        for what in _of_resource(before.get(logical_id), resource, paths)
    ) + tuple(
        Widening(logical_id, paths.get(logical_id, ""), resource["Type"], what)
        for logical_id, resource in before.items()
        if logical_id not in after
        for what in _of_removed(resource, paths)
    )


def _of_resource(was: dict[str, Any] | None, now: dict[str, Any], paths: Mapping[str, str]) -> Iterator[str]:
    kind = now["Type"]
    if was is not None and was["Type"] != kind:
        was = None
    old_statements = list(_statements(was, paths)) if was else []
    new_statements = list(_statements(now, paths))
    for label, statement in new_statements:
        if not statement.deny and not any(statement.within(o) for tag, o in old_statements if tag == label):
            yield _phrase("allows", label, statement)
    for label, statement in old_statements:
        if statement.deny and not any(statement.within(n) for tag, n in new_statements if tag == label):
            yield _phrase("no longer denies", label, statement)
    props, old_props = now.get("Properties", {}), (was or {}).get("Properties", {})
    for arn in _as_list(props.get("ManagedPolicyArns")):
        if arn not in _as_list(old_props.get("ManagedPolicyArns")):
            yield f"attaches the managed policy {to_text(arn, paths)}"
    if was is None:
        return
    if "PermissionsBoundary" in old_props and old_props["PermissionsBoundary"] != props.get("PermissionsBoundary"):
        yield "changes the permissions boundary"
    for prop, words in resource_types.of(kind).guards.items():
        if prop in old_props and old_props[prop] not in (False, "NONE") and old_props[prop] != props.get(prop):
            yield words
    if was.get("DeletionPolicy") in KEEPS and now.get("DeletionPolicy") not in KEEPS:
        yield "is no longer kept when the stack is deleted"


def _of_removed(was: dict[str, Any], paths: Mapping[str, str]) -> Iterator[str]:
    if guard := resource_types.of(was["Type"]).guard:
        yield guard
    for label, statement in _statements(was, paths):
        if statement.deny:
            yield _phrase("no longer denies", label, statement)


def _statements(resource: dict[str, Any], paths: Mapping[str, str]) -> Iterator[tuple[str, _Statement]]:
    props = resource.get("Properties", {})
    for label, prop in (
        ("trust", "AssumeRolePolicyDocument"),
        ("", "PolicyDocument"),
        ("", "KeyPolicy"),
        ("", "ResourcePolicy"),
        ("", "Policy"),
    ):
        document = props.get(prop)
        if document is None and prop == "Policy" and resource["Type"] == resource_types.API:
            document = _ANY_CALLER
        if isinstance(document, dict):
            yield from ((label, s) for s in _parsed(document, paths))
    for inline in _as_list(props.get("Policies")):
        if isinstance(inline, dict) and isinstance(inline.get("PolicyDocument"), dict):
            yield from (("", s) for s in _parsed(inline["PolicyDocument"], paths))
    if resource["Type"] == resource_types.PERMISSION:
        limits = [f"{k} {to_text(props[k], paths, limit=10_000)}" for k in ("SourceArn", "SourceAccount") if k in props]
        yield (
            "",
            _Statement(
                False,
                frozenset({to_text(props.get("Principal"), paths)}),
                frozenset({str(props.get("Action"))}),
                frozenset({to_text(props.get("FunctionName"), paths)}),
                frozenset(limits),
                "",
            ),
        )


def _parsed(document: dict[str, Any], paths: Mapping[str, str]) -> Iterator[_Statement]:
    for s in _as_list(document.get("Statement")):
        if not isinstance(s, dict):
            continue
        exotic = {k: s[k] for k in ("NotAction", "NotResource", "NotPrincipal") if k in s}
        conditions = {
            f"{operator} {key} {to_text(value, paths, limit=10_000)}"
            for operator, keys in (s.get("Condition") or {}).items()
            for key, value in keys.items()
        }
        yield _Statement(
            s.get("Effect") == "Deny",
            _principals(s.get("Principal"), paths),
            frozenset(str(a) for a in _as_list(s.get("Action"))),
            frozenset(to_text(r, paths, limit=10_000) for r in _as_list(s.get("Resource"))),
            frozenset(conditions),
            json.dumps(exotic, sort_keys=True) if exotic else "",
        )


def _principals(principal: Any, paths: Mapping[str, str]) -> frozenset[str]:
    if isinstance(principal, dict):
        return frozenset(to_text(v, paths, limit=10_000) for values in principal.values() for v in _as_list(values))
    return frozenset(to_text(p, paths, limit=10_000) for p in _as_list(principal))


def _covered(some: frozenset[str], by: frozenset[str]) -> bool:
    return all(any(one == other or fnmatchcase(one, other.replace("[", "[[]")) for other in by) for one in some)


def _phrase(verb: str, label: str, s: _Statement) -> str:
    parts = [verb]
    if label == "trust":
        parts.append(f"{_listed(s.principals) or 'anyone'} to take this role")
    else:
        parts += [_listed(s.actions) or s.exotic]
        if s.resources and s.resources != {"*"}:
            parts.append(f"on {_listed(s.resources)}")
        elif s.resources:
            parts.append("on everything")
        if s.principals:
            parts.append(f"to {'everyone' if '*' in s.principals else _listed(s.principals)}")
    if s.conditions:
        parts.append(f"when {_listed(s.conditions)}")
    return " ".join(parts)


def _listed(values: frozenset[str]) -> str:
    return ", ".join(sorted(values))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
