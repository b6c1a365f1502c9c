"""The notifier: a small function that the table's stream calls when a record becomes dead, and its own alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from rtp.config import secret_sources
from rtp.contract import NOTIFIER_HANDLER, Alarm, FunctionEnv, NotifierEnv
from rtp.infra import metrics, secrets
from rtp.infra.functions import Purpose, function
from rtp.infra.monitoring import notifying
from rtp.runtime import wire
from rtp.text import suggest

if TYPE_CHECKING:
    from rtp.infra.monitoring import Monitoring
    from rtp.infra.plan import Plan
    from rtp.infra.processing import Processing
    from rtp.infra.storage import Storage

_TIMEOUT_S = 60
_RETRIES = 3
_WINDOW_S = 20  # in which Lambda gathers failures, so that the first message has their number and not "1 event"


class Notifier(Construct):
    """Function, event source and alarm.

    The stream is read by the role, and not by the function's code: of the table the code reads and writes the items of
    groups alone. It is in no VPC, because a webhook is on the internet.
    """

    def __init__(
        self, scope: Construct, id: str, *, plan: Plan, storage: Storage, processing: Processing, monitoring: Monitoring
    ) -> None:
        super().__init__(scope, id)
        name = plan.names.notifier
        target = function(
            self,
            "Function",
            plan=plan,
            key=storage.key,
            code=processing.code,
            purpose=Purpose(
                name=name,
                about="Sends messages about groups of failures",
                handler=NOTIFIER_HANDLER,
                timeout_s=_TIMEOUT_S,
                memory_mb=256,
                statements=_statements(plan, storage, monitoring),
                environment=_environment(plan, storage, monitoring),
            ),
        )
        stream = storage.table.table_stream_arn or ""
        lambda_.EventSourceMapping(
            self,
            "StreamToNotifier",
            target=target,
            event_source_arn=stream,
            # A new stream has what died since it exists; LATEST would leave out the first minutes.
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            batch_size=100,
            max_batching_window=Duration.seconds(_WINDOW_S),
            retry_attempts=_RETRIES,
            max_record_age=Duration.hours(1),
            # A record that is claimed for its last attempt is dead with a lease: it may still be processed.
            filters=[{"pattern": _PATTERN}],
        )
        notifying(
            self,
            "Errors",
            monitoring.notify,
            alarm_name=plan.names.alarm(Alarm.NOTIFIER_ERRORS),
            alarm_description="Messages about groups of failures do not arrive. The log group "
            f"{plan.names.log_group(name)} says why. See `rtp docs alerts`.",
            metric=metrics.of_function(name, "Errors", "Sum"),
            threshold=1,
            evaluation_periods=1,
        )


_PATTERN = '{"dynamodb":{"NewImage":{"status":{"S":["dead"]},"lease_until":{"N":["0"]}}}}'


def _environment(plan: Plan, storage: Storage, monitoring: Monitoring) -> dict[str, str]:
    settings = plan.settings
    variables: dict[str, str] = {
        FunctionEnv.PROJECT: plan.project,
        FunctionEnv.ENV: plan.env,
        FunctionEnv.TABLE: storage.table.table_name,
        NotifierEnv.COMMAND: str(suggest.command("rtp", "triage", "show", env=plan.env) or ""),
        NotifierEnv.RETENTION: str(settings.dlq_retention_days),
    }
    if settings.alarm_causes:
        variables[NotifierEnv.TOPIC] = monitoring.topic.topic_arn
    if settings.alarm_webhook is not None:
        variables[NotifierEnv.WEBHOOK] = secret_sources.parse(settings.secrets[settings.alarm_webhook]).text
    return variables


def _statements(plan: Plan, storage: Storage, monitoring: Monitoring) -> list[iam.PolicyStatement]:
    settings, table = plan.settings, storage.table
    statements = [
        iam.PolicyStatement(
            sid="Stream",
            actions=[
                "dynamodb:DescribeStream",
                "dynamodb:GetRecords",
                "dynamodb:GetShardIterator",
                "dynamodb:ListStreams",
            ],
            resources=[table.table_stream_arn or ""],
        ),
        iam.PolicyStatement(
            sid="Groups",
            actions=["dynamodb:GetItem", "dynamodb:PutItem"],
            resources=[table.table_arn],
            conditions={
                "ForAllValues:StringLike": {"dynamodb:LeadingKeys": [f"{wire.GROUP_MEMORY}*", f"{wire.GROUP_NOTICE}*"]}
            },
        ),
        iam.PolicyStatement(sid="Key", actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[storage.key.key_arn]),
    ]
    if settings.alarm_causes:
        topic = monitoring.topic.topic_arn
        statements.append(iam.PolicyStatement(sid="Publish", actions=["sns:Publish"], resources=[topic]))
    if settings.alarm_webhook is not None:
        statements += secrets.reading(plan, [settings.secrets[settings.alarm_webhook]])
    return statements
