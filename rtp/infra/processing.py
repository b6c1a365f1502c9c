"""The two functions, from one code asset and one layer, and the event source of the worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from rtp.config.setting_table import function_environment
from rtp.config.settings import Settings
from rtp.contract import PROCESSOR_HANDLER, WORKER_HANDLER, FunctionEnv
from rtp.infra import secrets
from rtp.infra.functions import ARCHITECTURES, RUNTIME, Purpose, function
from rtp.infra.storage import OWN_BUCKETS
from rtp.runtime import wire

if TYPE_CHECKING:
    from rtp.infra.plan import Plan
    from rtp.infra.storage import Storage

API_TIMEOUT_S = 29  # the timeout of an integration of API Gateway
ALIAS = "live"


class Processing(Construct):
    """processor: answers the API. worker: processes the queue's messages. functions: both.

    aliases: function -> its alias, where versions are published; callers use it in place of the function.
    """

    def __init__(self, scope: Construct, id: str, *, plan: Plan, storage: Storage) -> None:
        super().__init__(scope, id)
        self._plan = plan
        self._storage = storage
        self.code = lambda_.Code.from_asset(plan.code)
        self._layer = lambda_.LayerVersion(
            self,
            "Layer",
            code=lambda_.Code.from_asset(plan.layer),
            compatible_runtimes=[RUNTIME],
            compatible_architectures=[ARCHITECTURES[plan.settings.architecture]],
            description=f"Dependencies of {plan.names.stack}",
            removal_policy=RemovalPolicy.DESTROY,
        )
        self._layers = [
            self._layer,
            *(lambda_.LayerVersion.from_layer_version_arn(self, f"Layer{n}", a) for n, a in enumerate(plan.layers, 1)),
        ]
        self.processor = self._function("Processor", self._processor())
        self.worker = self._function("Worker", self._worker())
        self.functions = (self.processor, self.worker)
        self.aliases = {f: self._alias(f) for f in self.functions} if plan.published else {}
        self._asynchronous_failures()
        self._event_source()

    def called(self, function: lambda_.Function) -> lambda_.IFunction:
        """The target for callers of a function: its alias, or the function itself."""
        return self.aliases.get(function, function)

    def _processor(self) -> Purpose:
        plan = self._plan
        stored_results = iam.PolicyStatement(
            sid="KeptResults",  # results of repeated events, which are too large for their records
            actions=["s3:GetObject"],
            resources=[self._storage.bucket.arn_for_objects(f"{wire.PROCESSED_PREFIX}*")],
            conditions=OWN_BUCKETS,
        )
        return Purpose(
            name=plan.names.processor,
            about="Answers POST /process",
            handler=PROCESSOR_HANDLER,
            timeout_s=min(plan.settings.timeout_s, API_TIMEOUT_S),
            statements=[*self._statements("dynamodb:GetItem"), stored_results],
            reserved_concurrency=plan.reserved_concurrency,
            **self._common(),
        )

    def _worker(self) -> Purpose:
        plan = self._plan
        receive = iam.PolicyStatement(
            sid="Receive",
            actions=[
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:ChangeMessageVisibility",
                "sqs:GetQueueAttributes",
            ],
            resources=[self._storage.queue.queue_arn],
        )
        return Purpose(
            name=plan.names.worker,
            about="Processes the queue's messages",
            handler=WORKER_HANDLER,
            timeout_s=plan.settings.timeout_s,
            # One call writes a batch, as PartiQL statements that each have a condition.
            statements=[*self._statements("dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate"), receive],
            **self._common(),
        )

    def _common(self) -> dict[str, Any]:
        """The properties that both functions have alike."""
        settings = self._plan.settings
        own = [
            iam.PolicyStatement(sid=f"Own{n}", actions=list(p.actions), resources=list(p.resources))
            for n, p in enumerate(self._plan.permissions, 1)
        ]
        size = settings.ephemeral_storage_mb
        return {
            "memory_mb": settings.memory_mb,
            "environment": settings.environment | self._environment(),
            "layers": self._layers,
            "own": own,
            "vpc": self._plan.vpc,
            "ephemeral_storage_mb": size if size != Settings().ephemeral_storage_mb else None,
        }

    def _function(self, id: str, purpose: Purpose) -> lambda_.Function:
        return function(self, id, plan=self._plan, key=self._storage.key, code=self.code, purpose=purpose)

    def _statements(self, *on_records: str) -> list[iam.PolicyStatement]:
        storage = self._storage
        return [
            iam.PolicyStatement(
                sid="Records",
                actions=["dynamodb:PutItem", "dynamodb:UpdateItem", *on_records],
                resources=[storage.table.table_arn],
            ),
            iam.PolicyStatement(
                sid="Archive",
                actions=["s3:PutObject"],
                resources=[
                    storage.bucket.arn_for_objects(f"{prefix}*") for prefix in (wire.RAW_PREFIX, wire.PROCESSED_PREFIX)
                ],
                conditions=OWN_BUCKETS,
            ),
            iam.PolicyStatement(
                sid="Send", actions=["sqs:SendMessage"], resources=[storage.queue.queue_arn, storage.dlq.queue_arn]
            ),
            iam.PolicyStatement(
                sid="Key", actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[storage.key.key_arn]
            ),
            *secrets.statements(self._plan),
        ]

    def _environment(self) -> dict[str, str]:
        plan, storage, settings = self._plan, self._storage, self._plan.settings
        return {
            FunctionEnv.PROJECT: plan.project,
            FunctionEnv.ENV: plan.env,
            FunctionEnv.TABLE: storage.table.table_name,
            FunctionEnv.BUCKET: storage.bucket.bucket_name,
            FunctionEnv.QUEUE_URL: storage.queue.queue_url,
            FunctionEnv.DLQ_URL: storage.dlq.queue_url,
            FunctionEnv.PROCESSORS: plan.processors,
            **function_environment(settings),
            **secrets.variables(plan),
        }

    def _alias(self, target: lambda_.Function) -> lambda_.Alias:
        return lambda_.Alias(self, f"{target.node.id}Alias", alias_name=ALIAS, version=target.current_version)

    def _asynchronous_failures(self) -> lambda_.CfnEventInvokeConfig:
        """Sends asynchronous calls of the processor that fail permanently to the dead-letter queue."""
        config = lambda_.CfnEventInvokeConfig(
            self,
            "ProcessorInvokeConfig",
            function_name=self.processor.function_name,
            qualifier=ALIAS if self._plan.published else "$LATEST",
            maximum_retry_attempts=2,
            maximum_event_age_in_seconds=3600,
            destination_config=lambda_.CfnEventInvokeConfig.DestinationConfigProperty(
                on_failure=lambda_.CfnEventInvokeConfig.OnFailureProperty(destination=self._storage.dlq.queue_arn)
            ),
        )
        if self._plan.published:
            config.node.add_dependency(self.called(self.processor))  # it refers to the alias by name only
        return config

    def _event_source(self) -> lambda_.EventSourceMapping:
        settings = self._plan.settings
        return lambda_.EventSourceMapping(
            self,
            "QueueToWorker",
            target=self.called(self.worker),
            event_source_arn=self._storage.queue.queue_arn,
            batch_size=settings.batch_size,
            # The limit is here and not on the function, because a throttled function costs a message an attempt.
            max_concurrency=settings.worker_concurrency,
            report_batch_item_failures=True,
        )
