"""The alert topic, the alarms and the dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from rtp.contract import API_STAGE, METRIC_NAMESPACE, Alarm

if TYPE_CHECKING:
    from rtp.infra.ingest import Ingest
    from rtp.infra.plan import Plan
    from rtp.infra.processing import Processing
    from rtp.infra.storage import Storage

_FIVE_MINUTES = Duration.minutes(5)


class Monitoring(Construct):
    """Eight alarms, all told to one topic, and one dashboard over the same metrics."""

    def __init__(
        self, scope: Construct, id: str, *, plan: Plan, storage: Storage, processing: Processing, ingest: Ingest
    ) -> None:
        super().__init__(scope, id)
        self._plan = plan
        self._storage = storage
        self.topic = self._topic()
        self._notify = actions.SnsAction(self.topic)
        settings = plan.settings

        self.alarms = [
            self._alarm(
                Alarm.DLQ_MESSAGES,
                storage.dlq.metric_approximate_number_of_messages_visible(
                    period=Duration.minutes(1), statistic="Maximum"
                ),
                settings.alarm_dlq_messages,
            ),
        ]

    def _topic(self) -> sns.Topic:
        plan = self._plan
        topic = sns.Topic(self, "Topic", topic_name=plan.names.topic, master_key=self._storage.key, enforce_ssl=True)
        # A topic with any policy of its own has lost the default one: without this no alarm can publish.
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="Alarms",
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                conditions={
                    "StringEquals": {"aws:SourceAccount": plan.account},
                    "ArnLike": {"aws:SourceArn": plan.arn("cloudwatch", f"alarm:{plan.names.stack}-*")},
                },
            )
        )
        for address in plan.settings.alarm_emails:
            topic.add_subscription(subscriptions.EmailSubscription(address))
        return topic

    def _alarm(
        self, alarm: Alarm, metric: cloudwatch.IMetric, threshold: float, *, periods: int = 1
    ) -> cloudwatch.Alarm:
        made = cloudwatch.Alarm(
            self,
            alarm.name.title().replace("_", ""),
            alarm_name=self._plan.names.alarm(alarm),
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        made.add_alarm_action(self._notify)
        made.add_ok_action(self._notify)
        return made
