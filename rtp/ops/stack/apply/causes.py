"""Why a stack operation failed: the first resource that did, and what its function has logged."""

from __future__ import annotations

import importlib.util
import re
from typing import TYPE_CHECKING, Any

from rtp.aws import logs, resource_types, stacks
from rtp.errors import RtpError
from rtp.ops.stack.steps import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rtp.aws import Aws
    from rtp.aws.stacks import Event
    from rtp.config import Environment
    from rtp.ops.stack.operation import Target

_CONSEQUENCE = ("Resource creation cancelled", "Resource update cancelled", "Resource deletion cancelled")
_LOG_LINES = 12
_LOG_GROUP = re.compile(r"/aws/lambda/[\w.-]+")


def first(target: Target, failures: Sequence[Event], template: Mapping[str, Any], *, began_ms: int) -> Cause | None:
    """The first failure that is not the consequence of another; its log lines since `began_ms` where there are any."""
    real = [f for f in failures if not f.reason.startswith(_CONSEQUENCE)] or _refusals(target)
    if not real:
        return None
    event = real[0]
    path = target.paths.get(event.logical_id, "")
    return Cause(
        event.logical_id,
        path,
        _source(path, target.environment),
        event.resource_type,
        event.status,
        _tidy(event.reason),
        _logs(target.aws, event, template, began_ms),
    )


def _refusals(target: Target) -> list[Event]:
    try:
        return stacks.refusals(target.aws, target.stack_id)
    except RtpError:  # an API of 2025, which not every role may call
        return []


def _source(path: str, environment: Environment) -> str:
    """The file that holds the construct: `Storage/Table` is built by rtp/infra/storage.py, others by the extension."""
    part = path.split("/")[0].lower()
    is_ours = part in ("storage", "processing", "ingest", "monitoring", "rollout", "cleanup")
    if environment.extend is not None and path and (not is_ours or path.endswith("/DefaultPolicy")):
        return environment.extend.name
    if not part.isidentifier() or importlib.util.find_spec(f"rtp.infra.{part}") is None:
        return "rtp/infra/stack.py" if path else ""
    return f"rtp/infra/{part}.py"


def _tidy(reason: str) -> str:
    """Without CloudFormation's wrapping of the handler's message."""
    text = re.sub(r'^Resource handler returned message: "(.*?)"(?= \(|$).*$', r"\1", reason, flags=re.S)
    text = re.sub(r" \((?:Service|RequestToken|Request ID|HandlerErrorCode)[^)]*\)", "", text)
    return text.strip() or "CloudFormation gave no reason"


def _logs(aws: Aws, event: Event, template: Mapping[str, Any], began_ms: int) -> tuple[str, ...]:
    """Last lines of the failing function, or of the function behind a failing custom resource."""
    group = _log_group(aws, event, template)
    if group is None:
        return ()
    try:
        lines = logs.messages(aws, group, since=began_ms, limit=1000)
    except RtpError:  # the group may be gone with the rollback; the reason stands without it
        return ()
    return tuple(line for line in lines if not line.startswith(("START ", "END ", "REPORT ")))[-_LOG_LINES:]


def _log_group(aws: Aws, event: Event, template: Mapping[str, Any]) -> str | None:
    named = _LOG_GROUP.search(event.reason)
    if named:
        return named[0]
    if event.resource_type == resource_types.FUNCTION and event.physical_id:
        return f"/aws/lambda/{event.physical_id}"
    if not resource_types.of(event.resource_type).calls_function:
        return None
    resource = template.get("Resources", {}).get(event.logical_id, {})
    token = resource.get("Properties", {}).get("ServiceToken")
    if isinstance(token, str):
        return f"/aws/lambda/{token.rpartition(':')[2]}"
    if isinstance(token, dict) and isinstance(token.get("Fn::GetAtt"), list):
        try:
            function = stacks.physical_id(aws, event.stack_id, token["Fn::GetAtt"][0])
        except RtpError:
            return None
        return f"/aws/lambda/{function}" if function else None
    return None
