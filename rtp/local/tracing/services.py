"""The segments that AWS's own services write, around those that functions send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.local.tracing import header

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtp.local.tracing.header import TraceHeader

Document = dict[str, Any]


def stage(
    trace: TraceHeader,
    ids: tuple[str, str],
    name: str,
    times: tuple[float, float],
    http: Document,
    aws: Document,
    call: Document,
) -> Document:
    """API Gateway: the stage and its call of the integration. ids: of the two.

    call: name, aws and status of the integration.
    """
    segment_id, call_id = ids
    start, end = times
    status = int(http["response"]["status"])
    segment = _segment(trace, segment_id, name, "AWS::ApiGateway::Stage", start, end)
    segment |= {"http": http, "aws": {"api_gateway": aws, "account_id": aws["account_id"]}, **flags(status)}
    segment["resource_arn"] = (
        f"arn:aws:apigateway:{aws['region']}::/restapis/{aws['rest_api_id']}/stages/{aws['stage']}"
    )
    if call:
        segment["subsegments"] = [
            {
                "id": call_id,
                "name": call["name"],
                "namespace": "aws",
                "start_time": call.get("start", start),
                "end_time": call.get("end", end),
                "aws": call["aws"],
                **flags(int(call.get("status", 200))),
            }
        ]
    return segment


def invocation(
    trace: TraceHeader,
    ids: tuple[str, str],
    arn: str,
    request_id: str,
    times: tuple[float, float],
    *,
    fault: bool,
    links: Iterable[TraceHeader] = (),
) -> list[Document]:
    """Lambda: the service, and the function in it, which sends its own subsegments."""
    service_id, function_id = ids
    name = arn.split(":")[6]
    aws = {"function_arn": arn, "request_id": request_id, "account_id": arn.split(":")[4], "resource_names": [name]}
    service = _segment(trace, service_id, name, "AWS::Lambda", *times)
    service |= {"resource_arn": arn, "aws": aws, "http": {"response": {"status": 500 if fault else 200}}}
    function = _segment(trace.child(service_id), function_id, name, "AWS::Lambda::Function", *times)
    function |= {"resource_arn": arn, "aws": aws}
    linked = [
        {"trace_id": link.root, "id": link.parent, "attributes": {"ReferenceType": "parent"}}
        for link in links
        if link.parent
    ]
    for segment in (service, function):
        if fault:
            segment["fault"] = True
        if linked:
            segment["links"] = linked
    return [service, function]


def wait(trace: TraceHeader, segment_id: str, arn: str, message_id: str, times: tuple[float, float]) -> Document:
    """SQS: a message from its sending to its first receipt."""
    _, _, _, region, account, name = arn.split(":", 5)
    segment = _segment(trace, segment_id, name, "AWS::SQS::Queue", *times)
    return segment | {
        "resource_arn": arn,
        "aws": {"account_id": account, "region": region, "queue_name": name, "message_id": message_id},
    }


def flags(status: int) -> Document:
    """X-Ray's flags of an HTTP status."""
    if status >= 500:
        return {"fault": True}
    if status == 429:
        return {"error": True, "throttle": True}
    return {"error": True} if status >= 400 else {}


def _segment(trace: TraceHeader, segment_id: str, name: str, origin: str, start: float, end: float) -> Document:
    segment = {
        "trace_id": trace.root,
        "id": segment_id,
        "name": name,
        "origin": origin,
        "start_time": start,
        "end_time": max(start, end),
    }
    return segment | {"parent_id": trace.parent} if trace.parent else segment


def new_ids() -> tuple[str, str]:
    """Ids of a service's segment and of the one in it."""
    return header.new_id(), header.new_id()
