"""Templates of four environments, built once: `local`, `dev` (unprotected), `prod` (protected), `odd` (no default)."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtp.config.permissions import Permission
from rtp.config.settings import Settings, Vpc
from rtp.infra import toolchain
from rtp.infra.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable

WEB_ACL = "arn:aws:wafv2:us-east-1:111122223333:regional/webacl/shared/0123abcd"
ODD = Settings(
    memory_mb=1024,
    timeout_s=45,
    architecture="x86_64",
    snap_start=True,
    reserved_concurrency=77,
    environment={"PARTNER_URL": "https://partner.example"},
    secrets={"TOKEN": "ssm:/acme/odd/TOKEN", "DB": "secretsmanager:team/db#password"},
    secrets_key="alias/team",
    permissions=(
        Permission(
            actions=("dynamodb:GetItem", "dynamodb:Query"),
            resources=("arn:aws:dynamodb:us-east-1:111122223333:table/prices",),
        ),
        Permission(actions=("ses:SendEmail",), resources=("*",), allow_wildcard=True, reason="The sender is checked."),
    ),
    vpc=Vpc(subnets=("subnet-0123abcd", "subnet-0123abce"), security_groups=("sg-0123abcd",)),
    layers=("arn:aws:lambda:us-east-1:111122223333:layer:ffmpeg:3",),
    log_level="DEBUG",
    log_retention_days=400,
    api_logs=False,
    trace_percent=25,
    throttle_rate=1001,
    throttle_burst=2001,
    key_rate=101,
    key_burst=201,
    daily_quota=10_001,
    batch_size=9,
    batch_concurrency=3,
    worker_concurrency=11,
    max_receive_count=6,
    backoff_base_s=2,
    backoff_cap_s=301,
    queue_retention_days=3,
    dlq_retention_days=13,
    index_shards=5,
    raw_expiry_days=8,
    processed_ia_days=31,
    alarm_emails=("oncall@example.com",),
    alarm_errors=6,
    alarm_duration_ms=20_001,
    alarm_throttles=2,
    alarm_dlq_messages=3,
    alarm_api_4xx=11,
    alarm_api_5xx=4,
    alarm_queue_age_s=301,
    alarm_worker_failures=7,
    rollout="canary-10-5m",
)


@dataclass(frozen=True, slots=True)
class Template:
    """A template with lookups by type, physical name or construct."""

    body: dict[str, Any]
    plan: Plan
    report: dict[str, Any] = field(default_factory=dict)

    def copy(self) -> Template:
        """Return a copy for a mutant."""
        return replace(self, body=copy.deepcopy(self.body))

    def of(self, type: str) -> dict[str, dict[str, Any]]:
        """Logical id -> properties of every resource of a type, such as `SQS::Queue`."""
        return {
            name: resource.setdefault("Properties", {})
            for name, resource in self.body["Resources"].items()
            if resource["Type"] == f"AWS::{type}"
        }

    def one(self, type: str, **having: Any) -> dict[str, Any]:
        """Properties of the only resource of a type that has these property values."""
        return self.of(type)[self.id(type, **having)]

    def id(self, type: str, **having: Any) -> str:
        """Logical id of the only resource of a type that has these property values."""
        (logical_id,) = (
            n for n, p in self.of(type).items() if all(p.get(key) == value for key, value in having.items())
        )
        return logical_id

    def resource(self, id: str) -> dict[str, Any]:
        """Return a resource by its logical id, with all its attributes."""
        resource: dict[str, Any] = self.body["Resources"][id]
        return resource

    @property
    def processor(self) -> dict[str, Any]:
        return self.one("Lambda::Function", FunctionName=self.plan.names.processor)

    @property
    def worker(self) -> dict[str, Any]:
        return self.one("Lambda::Function", FunctionName=self.plan.names.worker)

    @property
    def queue(self) -> dict[str, Any]:
        return self.one("SQS::Queue", QueueName=self.plan.names.queue)

    @property
    def dlq(self) -> dict[str, Any]:
        return self.one("SQS::Queue", QueueName=self.plan.names.dlq)

    @property
    def bucket(self) -> dict[str, Any]:
        return self.one("S3::Bucket", BucketName=self.plan.names.bucket(self.plan.account, self.plan.region))

    def method(self, path: str) -> dict[str, Any]:
        """The POST of a path of the API."""
        return self.one("ApiGateway::Method", ResourceId={"Ref": self.id("ApiGateway::Resource", PathPart=path)})

    def alarm(self, name: str) -> dict[str, Any]:
        """An alarm by the last part of its name."""
        return self.one("CloudWatch::Alarm", AlarmName=f"{self.plan.names.stack}-{name}")


def synthesise(plans: list[Plan]) -> list[Template]:
    """Run the CDK app as rtp does, with cdk-nag and the CDK's own check of templates."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tests.infra.checked_app"],
        input="".join(f"{json.dumps(json.loads(plan.dumps()))}\n" for plan in plans),
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, **toolchain.environment(), **toolchain.bytecode()},
        check=False,
    )
    statuses = [int(line) for line in done.stdout.split()]
    assert len(statuses) == len(plans), done.stderr
    return [_template(plan, status, done.stderr) for plan, status in zip(plans, statuses, strict=True)]


def _template(plan: Plan, status: int, errors: str) -> Template:
    out = Path(plan.out)
    file = out / f"{plan.names.stack}.template.json"
    assert file.exists(), errors
    report = json.loads((out / "validation-report.json").read_text())
    return Template(json.loads(file.read_text()), plan, {"status": status, **report})


@pytest.fixture(scope="session")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Plan]:
    """Create plans with small zips as assets."""
    folder = tmp_path_factory.mktemp("plans")
    for name in ("code", "layer"):
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            archive.writestr(f"{name}.txt", name)

    def make(name: str, **changes: Any) -> Plan:
        given: dict[str, Any] = {
            "project": "realtime-processor",
            "env": name,
            "owner": "DataTeam",
            "account": "111122223333",
            "region": "us-east-1",
            "protected": False,
            "local": False,
            "version": "0.0.0",
            "code": str(folder / "code.zip"),
            "layer": str(folder / "layer.zip"),
            "processors": "processors",
            "reserved_concurrency": None,
            "settings": Settings(),
            "out": str(folder / name),
        }
        return Plan(**{**given, **changes})

    return make


@pytest.fixture(scope="session")
def templates(plan: Callable[..., Plan]) -> dict[str, Template]:
    """Templates of the four environments, and of two that limit who may call the API: `signed` and `shut`."""
    plans = [
        plan("local", account="000000000000", local=True),
        plan(
            "dev",
            region="eu-west-1",
            settings=Settings(
                ephemeral_storage_mb=1024,  # SnapStart takes no more than 512
                secrets={"CHAT": "ssm:/realtime-processor/dev/CHAT"},
                alarm_causes=True,
                alarm_webhook="CHAT",
            ),
        ),
        plan("prod", protected=True, region="us-west-2", reserved_concurrency=100),
        plan("signed", settings=Settings(auth="iam", allowed_cidrs=("192.0.2.0/24",))),
        plan(
            "shut",
            protected=True,
            settings=Settings(
                allowed_cidrs=("192.0.2.0/24", "2001:db8::/32"), waf_acl_arn=WEB_ACL, stack_key_version=2
            ),
        ),
        plan("odd", project="acme", owner="Night", protected=True, reserved_concurrency=77, settings=ODD),
    ]
    return dict(zip([p.env for p in plans], synthesise(plans), strict=True))


@pytest.fixture(params=["local", "dev", "prod", "odd"])
def template(request: pytest.FixtureRequest, templates: dict[str, Template]) -> Template:
    """Each of the four templates."""
    chosen: Template = templates[request.param]
    return chosen


@pytest.fixture(scope="session")
def odd(templates: dict[str, Template]) -> Template:
    return templates["odd"]


@pytest.fixture
def caught(
    templates: dict[str, Template],
) -> Callable[[Callable[[Template], bool], str, Callable[[Template], object]], bool]:
    """Whether a rule detects one change of an environment's template."""

    def catches(rule: Callable[[Template], bool], env: str, change: Callable[[Template], object]) -> bool:
        mutant = templates[env].copy()
        change(mutant)
        assert mutant.body != templates[env].body, "the mutant is the template itself"
        try:
            return not rule(mutant)
        except (KeyError, ValueError, StopIteration):  # what the rule reads is missing
            return True

    return catches
