"""A processor's call that its role does not allow: what to add to `permissions` of rtp.toml, from AWS's message."""

from __future__ import annotations

import json
import re

_DENIAL = re.compile(
    r"User: \S+:assumed-role/\S+ is not authorized to perform: (?P<action>[a-z0-9-]+:[A-Za-z0-9]+)"
    r"(?: on resource: [\"'`]?(?P<resource>arn:[\w:/.*+=,@$-]+|\*))?"
)
# Why else AWS refuses, where the role does allow the call.
_OTHER = ("explicit deny", "resource-based policy", "permissions boundary", "service control policy", "endpoint policy")


def missing_permission(text: str) -> str:
    """The line for rtp.toml that would allow the call; empty where another permission would not help.

    text: an error of a record. AWS: "User: arn:… is not authorized to perform: dynamodb:GetItem on resource: arn:…
    because no identity-based policy allows the dynamodb:GetItem action".
    """
    denial = _DENIAL.search(text)
    if denial is None or any(reason in text for reason in _OTHER):
        return ""
    resource = (denial["resource"] or "*").rstrip(".,")
    wildcard = ', allow_wildcard = true, reason = "…"' if resource == "*" else ""
    actions, resources = json.dumps([denial["action"]]), json.dumps([resource])
    return f"permissions = [{{ actions = {actions}, resources = {resources}{wildcard} }}]"
