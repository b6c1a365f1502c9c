"""Every setting of rtp.toml reaches the template."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rtp.config.permissions import Permission
from rtp.config.setting_table import table
from rtp.config.settings import Settings, Vpc

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.infra.conftest import Template

DAY_S = 86_400


def _variable(name: str) -> Callable[[Template], Any]:
    return lambda t: t.worker["Environment"]["Variables"][name]


def _stage(name: str) -> Callable[[Template], Any]:
    return lambda t: t.one("ApiGateway::Stage")["MethodSettings"][0][name]


def _plan(part: str, name: str) -> Callable[[Template], Any]:
    return lambda t: t.one("ApiGateway::UsagePlan")[part][name]


def _threshold(alarm: str) -> Callable[[Template], Any]:
    return lambda t: t.alarm(alarm)["Threshold"]


def _lifecycle(index: int) -> Callable[[Template], Any]:
    return lambda t: t.bucket["LifecycleConfiguration"]["Rules"][index]


def _statement(t: Template, sid: str) -> dict[str, Any]:
    (role,) = (role for id, role in t.of("IAM::Role").items() if "WorkerRole" in id)
    return next(s for s in role["Policies"][0]["PolicyDocument"]["Statement"] if s["Sid"] == sid)


def _source(t: Template) -> dict[str, Any]:
    return t.one("Lambda::EventSourceMapping")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _own(t: Template) -> list[dict[str, Any]]:
    """Statements of rtp.toml in the worker's role."""
    (role,) = (r for id, r in t.of("IAM::Role").items() if "WorkerRole" in id)
    policies = {p["PolicyName"]: p["PolicyDocument"]["Statement"] for p in role["Policies"]}
    statements: list[dict[str, Any]] = policies["own"]
    return statements


# Setting -> its value in the template, in the form of rtp.toml.
WHERE: dict[str, Callable[[Template], Any]] = {
    "memory_mb": lambda t: t.worker["MemorySize"] if t.worker["MemorySize"] == t.processor["MemorySize"] else None,
    "timeout_s": lambda t: t.worker["Timeout"],
    "architecture": lambda t: t.worker["Architectures"][0],
    "snap_start": lambda t: t.worker.get("SnapStart") == {"ApplyOn": "PublishedVersions"},
    "api_logs": lambda t: "AccessLogSetting" in t.one("ApiGateway::Stage") or _stage("LoggingLevel")(t) != "OFF",
    "trace_percent": lambda t: round(t.one("XRay::SamplingRule")["SamplingRule"]["FixedRate"] * 100),
    "reserved_concurrency": lambda t: t.processor["ReservedConcurrentExecutions"],
    "environment": lambda t: {
        name: value for name, value in t.worker["Environment"]["Variables"].items() if not name.startswith("RTP_")
    },
    "secrets": lambda t: json.loads(_variable("RTP_SECRETS")(t)),
    "secrets_key": lambda t: _statement(t, "SecretsKey")["Condition"]["ForAnyValue:StringEquals"][
        "kms:ResourceAliases"
    ],
    "permissions": lambda t: tuple(
        Permission(
            actions=tuple(_list(s["Action"])),
            resources=tuple(_list(s["Resource"])),
            allow_wildcard=s["Resource"] == "*",
            reason="The sender is checked." if s["Resource"] == "*" else "",
        )
        for s in _own(t)
    ),
    "vpc": lambda t: Vpc(
        subnets=tuple(t.worker["VpcConfig"]["SubnetIds"]),
        security_groups=tuple(t.worker["VpcConfig"]["SecurityGroupIds"]),
    ),
    "layers": lambda t: tuple(layer for layer in t.worker["Layers"] if isinstance(layer, str)),
    "log_level": _variable("RTP_LOG_LEVEL"),
    "log_retention_days": lambda t: min(group["RetentionInDays"] for group in t.of("Logs::LogGroup").values()),
    "throttle_rate": _stage("ThrottlingRateLimit"),
    "throttle_burst": _stage("ThrottlingBurstLimit"),
    "key_rate": _plan("Throttle", "RateLimit"),
    "key_burst": _plan("Throttle", "BurstLimit"),
    "daily_quota": _plan("Quota", "Limit"),
    "batch_size": lambda t: _source(t)["BatchSize"],
    "batch_concurrency": lambda t: int(_variable("RTP_BATCH_CONCURRENCY")(t)),
    "worker_concurrency": lambda t: _source(t)["ScalingConfig"]["MaximumConcurrency"],
    "max_receive_count": lambda t: t.queue["RedrivePolicy"]["maxReceiveCount"],
    "backoff_base_s": lambda t: int(_variable("RTP_BACKOFF_BASE_S")(t)),
    "backoff_cap_s": lambda t: int(_variable("RTP_BACKOFF_CAP_S")(t)),
    "queue_retention_days": lambda t: t.queue["MessageRetentionPeriod"] // DAY_S,
    "dlq_retention_days": lambda t: t.dlq["MessageRetentionPeriod"] // DAY_S,
    "index_shards": lambda t: int(_variable("RTP_INDEX_SHARDS")(t)),
    "raw_expiry_days": lambda t: _lifecycle(0)(t)["ExpirationInDays"],
    "processed_ia_days": lambda t: _lifecycle(1)(t)["Transitions"][0]["TransitionInDays"],
    "alarm_emails": lambda t: tuple(s["Endpoint"] for s in t.of("SNS::Subscription").values()),
    "alarm_errors": _threshold("lambda-errors"),
    "alarm_duration_ms": _threshold("lambda-duration"),
    "alarm_throttles": _threshold("lambda-throttles"),
    "alarm_dlq_messages": _threshold("dlq-messages"),
    "alarm_api_4xx": _threshold("api-4xx"),
    "alarm_api_5xx": _threshold("api-5xx"),
    "alarm_queue_age_s": _threshold("queue-age"),
    "alarm_worker_failures": _threshold("worker-failures"),
    "rollout": lambda t: {"CodeDeployDefault.LambdaCanary10Percent5Minutes": "canary-10-5m"}[
        next(iter(t.of("CodeDeploy::DeploymentGroup").values()))["DeploymentConfigName"]
    ],
}


# Settings that `odd` leaves out, because others exclude them; the tests of this and of test_access.py.
ELSEWHERE = (
    "alarm_causes",
    "alarm_webhook",
    "ephemeral_storage_mb",
    "auth",
    "allowed_cidrs",
    "waf_acl_arn",
    "stack_key_version",
)


def test_every_setting_is_listed() -> None:
    assert {*WHERE, *ELSEWHERE} == {*table()}


def test_the_notifier_gets_topic_and_webhook_and_the_other_functions_no_address(templates: dict[str, Template]) -> None:
    dev = templates["dev"]
    notifier = dev.one("Lambda::Function", FunctionName=dev.plan.names.notifier)
    assert notifier["Environment"]["Variables"] == {
        "RTP_PROJECT": dev.plan.project,
        "RTP_ENV": "dev",
        "RTP_TABLE": {"Ref": dev.id("DynamoDB::Table")},
        "RTP_COMMAND": "rtp triage show --env=dev",
        "RTP_DLQ_RETENTION_DAYS": "14",
        "RTP_TOPIC": {"Ref": dev.id("SNS::Topic")},
        "RTP_WEBHOOK": "ssm:/realtime-processor/dev/CHAT",
    }
    assert all("RTP_SECRETS" not in f["Environment"]["Variables"] for f in (dev.processor, dev.worker))
    others = [t for name, t in templates.items() if name != "dev"]
    assert not any(f["FunctionName"].endswith("-notifier") for t in others for f in t.of("Lambda::Function").values())


def test_the_size_of_tmp_reaches_the_template(templates: dict[str, Template]) -> None:
    dev = templates["dev"]
    assert [f["EphemeralStorage"] for f in (dev.processor, dev.worker)] == [{"Size": 1024}] * 2


@pytest.mark.parametrize("setting", WHERE)
def test_a_setting_reaches_the_template(setting: str, odd: Template) -> None:
    # Given: an environment in which no setting has its default.
    value = getattr(odd.plan.settings, setting)
    assert value != getattr(Settings(), setting)

    # Then: the template has the value.
    assert WHERE[setting](odd) == value


def test_the_processor_s_timeout_is_within_the_api_s(odd: Template) -> None:
    assert (odd.processor["Timeout"], odd.worker["Timeout"]) == (29, 45)
    assert odd.queue["VisibilityTimeout"] == 6 * 45


def test_the_runtime_gets_the_retry_delays_and_attempts(odd: Template) -> None:
    variables = odd.processor["Environment"]["Variables"]
    assert variables == odd.worker["Environment"]["Variables"]
    assert (variables["RTP_MAX_RECEIVE_COUNT"], variables["RTP_PROJECT"], variables["RTP_ENV"]) == ("6", "acme", "odd")


def test_names_and_owner_are_the_environments(odd: Template) -> None:
    assert odd.plan.names.stack == "acme-odd"
    assert {tag["Key"]: tag["Value"] for tag in odd.queue["Tags"]} == {
        "Environment": "odd",
        "Project": "acme",
        "ManagedBy": "CDK",
        "Owner": "Night",
    }
