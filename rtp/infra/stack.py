"""The stack: its constructs, tags and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import CfnOutput, Environment, Stack, Tags

from rtp.contract import API_STAGE, Output
from rtp.infra.cleanup import Cleanup
from rtp.infra.ingest import Ingest
from rtp.infra.monitoring import Monitoring
from rtp.infra.notifier import Notifier
from rtp.infra.processing import Processing
from rtp.infra.rollout import Rollout
from rtp.infra.storage import Storage

if TYPE_CHECKING:
    from constructs import Construct

    from rtp.infra.plan import Plan


class RtpStack(Stack):
    """The stack of one environment."""

    def __init__(self, scope: Construct, *, plan: Plan) -> None:
        super().__init__(
            scope,
            plan.names.stack,
            stack_name=plan.names.stack,
            env=Environment(account=plan.account, region=plan.region),
            description=f"rtp: event pipeline {plan.names.stack}",
            termination_protection=plan.protected,
            analytics_reporting=False,
            suppress_template_indentation=True,
        )
        self.storage = storage = Storage(self, "Storage", plan=plan)
        self.processing = processing = Processing(self, "Processing", plan=plan, storage=storage)
        processor = processing.called(processing.processor)
        self.ingest = ingest = Ingest(self, "Ingest", plan=plan, storage=storage, processor=processor)
        self.monitoring = monitoring = Monitoring(self, "Monitoring", plan=plan, storage=storage)
        if plan.notified:
            Notifier(self, "Notifier", plan=plan, storage=storage, processing=processing, monitoring=monitoring)
        if plan.shifted:
            Rollout(self, "Rollout", plan=plan, processing=processing, monitoring=monitoring)
        if plan.emptied:
            Cleanup(self, "Cleanup", plan=plan, storage=storage, processing=processing)
        for name, value in plan.tags.items():
            Tags.of(self).add(name, value)
        for key, value in {
            Output.API_URL: ingest.api.url,
            Output.API_ID: ingest.api.rest_api_id,
            Output.API_STAGE: API_STAGE,
            Output.API_AUTH: plan.settings.auth,
            Output.API_KEY_ID: ingest.key.key_id,
            Output.USAGE_PLAN_ID: ingest.usage_plan.usage_plan_id,
            Output.TABLE: storage.table.table_name,
            Output.BUCKET: storage.bucket.bucket_name,
            Output.QUEUE_URL: storage.queue.queue_url,
            Output.DLQ_URL: storage.dlq.queue_url,
            Output.TOPIC_ARN: monitoring.topic.topic_arn,
            Output.KEY_ARN: storage.key.key_arn,
            Output.PROCESSOR: processing.processor.function_name,
            Output.WORKER: processing.worker.function_name,
            Output.DASHBOARD: plan.names.dashboard,
            Output.VERSION: plan.version,
        }.items():
            CfnOutput(self, key, value=value)
