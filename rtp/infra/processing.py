"""The two functions: one code asset and one layer, a role and a log group each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from rtp.contract import PROCESSED_PREFIX, PROCESSOR_HANDLER, RAW_PREFIX, WORKER_HANDLER, FunctionEnv
from rtp.infra.logs import log_group as log_group_of

if TYPE_CHECKING:
    from rtp.infra.plan import Plan
    from rtp.infra.storage import Storage

_RUNTIME = lambda_.Runtime.PYTHON_3_14
_ARCHITECTURES = {"arm64": lambda_.Architecture.ARM_64, "x86_64": lambda_.Architecture.X86_64}
_API_LIMIT_S = 29  # API Gateway gives up on an integration after this


@dataclass(frozen=True, slots=True)
class _Kind:
    id: str
    name: str
    handler: str
    about: str
    timeout_s: int
    reserved_concurrency: int | None
    statements: tuple[iam.PolicyStatement, ...]


class Processing(Construct):
    """`processor` answers the API, `worker` drains the queue."""

    def __init__(self, scope: Construct, id: str, *, plan: Plan, storage: Storage) -> None:
        super().__init__(scope, id)
        self._plan = plan
        self._storage = storage
        self._code = lambda_.Code.from_asset(plan.code)
        self._layer = lambda_.LayerVersion(
            self,
            "Layer",
            code=lambda_.Code.from_asset(plan.layer),
            compatible_runtimes=[_RUNTIME],
            compatible_architectures=[_ARCHITECTURES[plan.settings.architecture]],
            description=f"Dependencies of {plan.names.stack}",
            removal_policy=RemovalPolicy.DESTROY,
        )
        names = plan.names
        self.processor = self._function(
            _Kind(
                "Processor",
                names.processor,
                PROCESSOR_HANDLER,
                "Answers POST /process",
                min(plan.settings.timeout_s, _API_LIMIT_S),
                plan.reserved_concurrency,
                (self._send(),),
            )
        )
        self.worker = self._function(
            _Kind(
                "Worker",
                names.worker,
                WORKER_HANDLER,
                "Drains the queue",
                plan.settings.timeout_s,
                None,
                (self._send(), self._receive()),
            )
        )
        self._asynchronous_failures()
        self._event_source()

    def _function(self, kind: _Kind) -> lambda_.Function:
        plan, storage = self._plan, self._storage
        log_group = log_group_of(
            self, f"{kind.id}Logs", plan=plan, key=storage.key, name=plan.names.log_group(kind.name)
        )
        # Inline in the role, so that no function and no event source can exist before its permissions do.
        role = iam.Role(
            self,
            f"{kind.id}Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What {kind.name} may do",
            inline_policies={
                "pipeline": iam.PolicyDocument(
                    statements=[*self._data(), *kind.statements, *_telemetry(log_group)],
                )
            },
        )
        return lambda_.Function(
            self,
            kind.id,
            function_name=kind.name,
            description=kind.about,
            runtime=_RUNTIME,
            architecture=_ARCHITECTURES[plan.settings.architecture],
            handler=kind.handler,
            code=self._code,
            layers=[self._layer],
            memory_size=plan.settings.memory_mb,
            timeout=Duration.seconds(kind.timeout_s),
            role=role.without_policy_updates(),
            log_group=log_group,
            tracing=lambda_.Tracing.ACTIVE,
            environment_encryption=storage.key,
            environment=self._environment(),
            reserved_concurrent_executions=kind.reserved_concurrency,
        )

    def _environment(self) -> dict[str, str]:
        plan, storage = self._plan, self._storage
        settings = plan.settings
        return {
            FunctionEnv.PROJECT: plan.project,
            FunctionEnv.ENV: plan.env,
            FunctionEnv.TABLE: storage.table.table_name,
            FunctionEnv.BUCKET: storage.bucket.bucket_name,
            FunctionEnv.QUEUE_URL: storage.queue.queue_url,
            FunctionEnv.DLQ_URL: storage.dlq.queue_url,
            FunctionEnv.PROCESSORS: plan.processors,
            FunctionEnv.MAX_RECEIVE_COUNT: str(settings.max_receive_count),
            FunctionEnv.BACKOFF_BASE: str(settings.backoff_base_s),
            FunctionEnv.BACKOFF_CAP: str(settings.backoff_cap_s),
            FunctionEnv.INDEX_SHARDS: str(settings.index_shards),
            FunctionEnv.BATCH_CONCURRENCY: str(settings.batch_concurrency),
            FunctionEnv.LOG_LEVEL: settings.log_level,
        }

    def _data(self) -> list[iam.PolicyStatement]:
        storage = self._storage
        return [
            iam.PolicyStatement(
                sid="Records",
                actions=["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
                resources=[storage.table.table_arn],
            ),
            iam.PolicyStatement(
                sid="Archive",
                actions=["s3:GetObject", "s3:PutObject"],
                resources=[storage.bucket.arn_for_objects(f"{prefix}*") for prefix in (RAW_PREFIX, PROCESSED_PREFIX)],
            ),
            iam.PolicyStatement(
                sid="Key", actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[storage.key.key_arn]
            ),
        ]

    def _send(self) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            sid="Send",
            actions=["sqs:SendMessage"],
            resources=[self._storage.queue.queue_arn, self._storage.dlq.queue_arn],
        )

    def _receive(self) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            sid="Receive",
            actions=[
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:ChangeMessageVisibility",
                "sqs:GetQueueAttributes",
            ],
            resources=[self._storage.queue.queue_arn],
        )

    def _asynchronous_failures(self) -> None:
        """An asynchronous call of the processor that fails for good ends where every other dead event does."""
        lambda_.CfnEventInvokeConfig(
            self,
            "ProcessorInvokeConfig",
            function_name=self.processor.function_name,
            qualifier="$LATEST",
            maximum_retry_attempts=2,
            maximum_event_age_in_seconds=3600,
            destination_config=lambda_.CfnEventInvokeConfig.DestinationConfigProperty(
                on_failure=lambda_.CfnEventInvokeConfig.OnFailureProperty(destination=self._storage.dlq.queue_arn)
            ),
        )

    def _event_source(self) -> None:
        settings = self._plan.settings
        lambda_.EventSourceMapping(
            self,
            "QueueToWorker",
            target=self.worker,
            event_source_arn=self._storage.queue.queue_arn,
            batch_size=settings.batch_size,
            # The limit stands here and not on the function: a throttled function burns a message's attempts.
            max_concurrency=settings.worker_concurrency,
            report_batch_item_failures=True,
        )


def _telemetry(log_group: logs.LogGroup) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(
            sid="Logs", actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[log_group.log_group_arn]
        ),
        iam.PolicyStatement(
            sid="Traces", actions=["xray:PutTraceSegments", "xray:PutTelemetryRecords"], resources=["*"]
        ),
    ]
