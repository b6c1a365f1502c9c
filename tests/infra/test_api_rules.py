"""The API never accepts what is not queued, checks every body, and exposes no data."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from rtp.infra import answers
from rtp.infra.event_schema import EVENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.infra.conftest import Template

    Rule = Callable[[Template], bool]
    Change = Callable[[Template], object]

PATHS = ("process", "events")


def accepted_only_if_queued(t: Template) -> bool:
    """A3-2, B15: the client gets a 2xx only if SQS answered with a 2xx."""
    return all(
        (200 <= _answered(t, status) < 300) == (200 <= status < 300) for status in (200, 201, *range(300, 600))
    ) and (_answered(t, 200), _answered(t, 400), _answered(t, 403), _answered(t, 500)) == (202, 400, 400, 503)


def every_other_status_is_an_error(t: Template) -> bool:
    """B15: one response covers every status without a pattern: an error with Retry-After."""
    (default,) = (r for r in _responses(t) if not r.get("SelectionPattern"))
    return default["StatusCode"] == "503" and "method.response.header.Retry-After" in default["ResponseParameters"]


def every_body_is_checked(t: Template) -> bool:
    """A3-3, B16: for any content type."""
    model = {"Ref": t.id("ApiGateway::Model")}
    validator = t.id("ApiGateway::RequestValidator", ValidateRequestBody=True, ValidateRequestParameters=True)
    return all(
        t.method(path)["RequestModels"] == {"application/json": model, "$default": model}
        and t.method(path)["RequestValidatorId"] == {"Ref": validator}
        for path in PATHS
    )


def the_model_is_the_event_schema(t: Template) -> bool:
    """The gateway's model is the schema of an event."""
    return bool(t.one("ApiGateway::Model")["Schema"] == EVENT)


def only_json_reaches_the_queue(t: Template) -> bool:
    """B16: a content type without a template is refused."""
    integration = t.method("events")["Integration"]
    return integration["PassthroughBehavior"] == "NEVER" and set(integration["RequestTemplates"]) == {
        "application/json"
    }


def a_key_is_required(t: Template) -> bool:
    """Both paths require a key in the header, and the stage has a usage plan with throttle and quota."""
    plan = t.one("ApiGateway::UsagePlan")
    return (
        all(t.method(path)["ApiKeyRequired"] is True for path in PATHS)
        and t.one("ApiGateway::RestApi")["ApiKeySourceType"] == "HEADER"
        and {"BurstLimit", "RateLimit"} == set(plan["Throttle"])
        and plan["Quota"]["Period"] == "DAY"
        and [s["Stage"] for s in plan["ApiStages"]] == [{"Ref": t.id("ApiGateway::Stage")}]
        and len(t.of("ApiGateway::UsagePlanKey")) == 1
    )


def bodies_are_not_logged(t: Template) -> bool:
    """A3-7, B27: execution logs have errors alone; the access log says who, when and how much."""
    stage = t.one("ApiGateway::Stage")
    if not t.plan.settings.api_logs:
        settings = stage["MethodSettings"]
        return "AccessLogSetting" not in stage and all(
            (s["DataTraceEnabled"], s["LoggingLevel"], s["MetricsEnabled"]) == (False, "OFF", True) for s in settings
        )
    format = stage["AccessLogSetting"]["Format"]
    variables = set(re.findall(r"\$context\.([A-Za-z.]+)", format))
    return (
        all(
            s["DataTraceEnabled"] is False and s["LoggingLevel"] == "ERROR" and s["MetricsEnabled"] is True
            for s in stage["MethodSettings"]
        )
        and all(value.startswith("$context.") for value in json.loads(format).values())
        and variables == {v.removeprefix("$context.") for v in json.loads(answers.ACCESS_LOG).values()}
        and not variables & {"identity.apiKey", "identity.userAgent", "authorizer.claims"}
    )


def the_account_settings_are_not_changed(t: Template) -> bool:
    """B25, A3-10: the account's logging role is not the stack's."""
    return not t.of("ApiGateway::Account") and not any(
        "AmazonAPIGatewayPushToCloudWatchLogs" in json.dumps(role) for role in t.of("IAM::Role").values()
    )


def requests_are_traced(t: Template) -> bool:
    """X-Ray sees the API and both functions. A percentage that is set is a sampling rule of the stage."""
    functions = t.of("Lambda::Function").values()
    rules = [rule["SamplingRule"] for rule in t.of("XRay::SamplingRule").values()]
    percent = None if t.plan.local else t.plan.settings.trace_percent
    matches = [(rule["ServiceName"], rule["ServiceType"], round(rule["FixedRate"] * 100)) for rule in rules]
    stage = (f"{t.plan.names.api}/prod", "AWS::ApiGateway::Stage", percent)
    return (
        t.one("ApiGateway::Stage")["TracingEnabled"] is True
        and all(f["TracingConfig"] == {"Mode": "Active"} for f in functions)
        and matches == ([] if percent is None else [stage])
        and all(len(rule["RuleName"]) <= 32 for rule in rules)
    )


def refusals_are_json(t: Template) -> bool:
    """Every response of the gateway itself is JSON with a message; for an invalid event it has the errors."""
    responses = t.of("ApiGateway::GatewayResponse").values()
    bodies = {}
    for response in responses:
        template = response["ResponseTemplates"]["application/json"]
        bodies[response["ResponseType"]] = json.loads(template.replace("$context.error.messageString", '"message"'))
    needed = {"INVALID_API_KEY", "REQUEST_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "THROTTLED", "QUOTA_EXCEEDED"}
    return (
        needed | {"DEFAULT_4XX", "DEFAULT_5XX", "BAD_REQUEST_BODY"} <= set(bodies)
        and all(isinstance(body.get("message"), str) and body.get("request_id") for body in bodies.values())
        and all(e.keys() == {"path", "message"} for e in bodies["BAD_REQUEST_BODY"]["errors"] or [{}])
    )


def the_endpoint_is_regional(t: Template) -> bool:
    """The endpoint is regional."""
    return bool(t.one("ApiGateway::RestApi")["EndpointConfiguration"] == {"Types": ["REGIONAL"]})


def only_the_api_may_call_the_processor(t: Template) -> bool:
    """API Gateway may call the processor (its alias, where versions are published) for POST /process alone."""
    (permission,) = t.of("Lambda::Permission").values()
    source = json.dumps(permission["SourceArn"])
    processor = t.id("Lambda::Function", FunctionName=t.plan.names.processor)
    called = t.id("Lambda::Alias", FunctionName={"Ref": processor}) if t.plan.published else processor
    return (
        permission["Principal"] == "apigateway.amazonaws.com"
        and "/POST/process" in source
        and called in json.dumps(permission["FunctionName"])
        and called in json.dumps(t.method("process")["Integration"]["Uri"])
    )


def _responses(t: Template) -> list[dict[str, Any]]:
    responses: list[dict[str, Any]] = t.method("events")["Integration"]["IntegrationResponses"]
    return responses


def _answered(t: Template, status: int) -> int:
    """The client's status for SQS's, as API Gateway chooses it: a pattern that matches, else the one without."""
    for response in _responses(t):
        if response.get("SelectionPattern") and re.fullmatch(response["SelectionPattern"], str(status)):
            return int(response["StatusCode"])
    return next((int(r["StatusCode"]) for r in _responses(t) if not r.get("SelectionPattern")), 500)


def _response(t: Template, status: str) -> dict[str, Any]:
    return next(r for r in _responses(t) if r["StatusCode"] == status)


def _settings(t: Template) -> dict[str, Any]:
    settings: dict[str, Any] = t.one("ApiGateway::Stage")["MethodSettings"][0]
    return settings


def _access_log(t: Template, **more: str) -> None:
    setting = t.one("ApiGateway::Stage")["AccessLogSetting"]
    setting["Format"] = json.dumps({**json.loads(setting["Format"]), **more})


def _gateway(t: Template, type: str) -> dict[str, Any]:
    return t.one("ApiGateway::GatewayResponse", ResponseType=type)


MUTANTS: list[tuple[Rule, Change]] = [
    (accepted_only_if_queued, lambda t: _response(t, "202").pop("SelectionPattern")),
    (accepted_only_if_queued, lambda t: _response(t, "503").update(StatusCode="202")),
    (accepted_only_if_queued, lambda t: _response(t, "400").update(SelectionPattern="400")),
    (every_other_status_is_an_error, lambda t: _response(t, "503").pop("ResponseParameters")),
    (every_body_is_checked, lambda t: t.method("events")["RequestModels"].pop("$default")),
    (every_body_is_checked, lambda t: t.method("process").pop("RequestValidatorId")),
    (the_model_is_the_event_schema, lambda t: t.one("ApiGateway::Model")["Schema"].pop("anyOf")),
    (
        only_json_reaches_the_queue,
        lambda t: t.method("events")["Integration"].update(PassthroughBehavior="WHEN_NO_MATCH"),
    ),
    (
        only_json_reaches_the_queue,
        lambda t: t.method("events")["Integration"]["RequestTemplates"].update({"text/plain": ""}),
    ),
    (a_key_is_required, lambda t: t.method("events").update(ApiKeyRequired=False)),
    (a_key_is_required, lambda t: t.one("ApiGateway::UsagePlan")["Throttle"].pop("RateLimit")),
    (a_key_is_required, lambda t: t.one("ApiGateway::UsagePlan").update(ApiStages=[])),
    (bodies_are_not_logged, lambda t: _settings(t).update(DataTraceEnabled=True)),
    (bodies_are_not_logged, lambda t: _settings(t).update(LoggingLevel="INFO")),
    (bodies_are_not_logged, lambda t: _access_log(t, key="$context.identity.apiKey")),
    (
        the_account_settings_are_not_changed,
        lambda t: t.body["Resources"].update(A={"Type": "AWS::ApiGateway::Account"}),
    ),
    (requests_are_traced, lambda t: t.one("ApiGateway::Stage").update(TracingEnabled=False)),
    (requests_are_traced, lambda t: t.worker.update(TracingConfig={"Mode": "PassThrough"})),
    (
        refusals_are_json,
        lambda t: _gateway(t, "BAD_REQUEST_BODY")["ResponseTemplates"].update(
            {"application/json": '{"message": "no", "request_id": "1", "errors": []}'}
        ),
    ),
    (refusals_are_json, lambda t: _gateway(t, "THROTTLED").update(ResponseType="WAF_FILTERED")),
    (
        refusals_are_json,
        lambda t: _gateway(t, "INVALID_API_KEY")["ResponseTemplates"].update({"application/json": '{"error": "no"}'}),
    ),
    (
        the_endpoint_is_regional,
        lambda t: t.one("ApiGateway::RestApi").update(EndpointConfiguration={"Types": ["EDGE"]}),
    ),
    (only_the_api_may_call_the_processor, lambda t: t.one("Lambda::Permission").update(SourceArn="*")),
    (only_the_api_may_call_the_processor, lambda t: t.method("process")["Integration"].update(Uri="arn")),
]


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _ in MUTANTS), ids=lambda rule: rule.__name__)
def test_every_template_keeps(rule: Rule, template: Template) -> None:
    assert rule(template)


@pytest.mark.parametrize(("rule", "change"), MUTANTS, ids=[rule.__name__ for rule, _ in MUTANTS])
@pytest.mark.parametrize("env", ["dev", "prod"])
def test_a_mutant_is_caught_by(
    rule: Rule, env: str, change: Change, caught: Callable[[Rule, str, Change], bool]
) -> None:
    assert caught(rule, env, change)
