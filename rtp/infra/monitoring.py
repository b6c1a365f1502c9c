"""The alert topic, the alarms and the dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from rtp.contract import Alarm
from rtp.infra import metrics
from rtp.infra.dashboard import body
from rtp.text import suggest

if TYPE_CHECKING:
    from rtp.infra.plan import Plan
    from rtp.infra.storage import Storage


class Monitoring(Construct):
    """The pipeline's alarms, which notify one topic when they fire and when they are OK again, and one dashboard."""

    def __init__(self, scope: Construct, id: str, *, plan: Plan, storage: Storage) -> None:
        super().__init__(scope, id)
        self._plan = plan
        self.topic = self._topic(storage)
        self.notify = actions.SnsAction(self.topic)
        self.alarms = self._alarms()
        cloudwatch.CfnDashboard(self, "Dashboard", dashboard_name=plan.names.dashboard, dashboard_body=body(plan))

    def _topic(self, storage: Storage) -> sns.Topic:
        plan = self._plan
        topic = sns.Topic(self, "Topic", topic_name=plan.names.topic, master_key=storage.key, enforce_ssl=True)
        # A policy replaces the topic's default one, so it must let the alarms publish.
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

    def _alarms(self) -> dict[Alarm, cloudwatch.Alarm]:
        plan, names, limits = self._plan, self._plan.names, self._plan.settings
        errors = metrics.of_functions(plan, "Errors", "Sum")
        # Three minutes: it has to fire while an update is watched, for five minutes.
        duration = metrics.of_functions(plan, "Duration", "p95", metrics.ONE_MINUTE)
        throttles = metrics.of_functions(plan, "Throttles", "Sum")
        dead = metrics.of_queue(names.dlq, "ApproximateNumberOfMessagesVisible")
        age = metrics.of_queue(names.queue, "ApproximateAgeOfOldestMessage")
        client_errors, server_errors = metrics.of_api(plan, "4XXError"), metrics.of_api(plan, "5XXError")
        failed_attempts = metrics.of_events(plan, "EventsFailed")
        logs = self._advice("logs", level="WARNING")
        dlq, status = self._advice("dlq", "inspect"), self._advice("status")
        return {
            Alarm.LAMBDA_ERRORS: self._alarm(
                Alarm.LAMBDA_ERRORS, errors, limits.alarm_errors, f"Functions crash or time out. {logs}"
            ),
            Alarm.LAMBDA_DURATION: self._alarm(
                Alarm.LAMBDA_DURATION, duration, limits.alarm_duration_ms, f"Functions are slow. {status}", periods=3
            ),
            Alarm.LAMBDA_THROTTLES: self._alarm(
                Alarm.LAMBDA_THROTTLES, throttles, limits.alarm_throttles, f"Functions are throttled. {status}"
            ),
            Alarm.DLQ_MESSAGES: self._alarm(
                Alarm.DLQ_MESSAGES, dead, limits.alarm_dlq_messages, f"Events are dead. {dlq}"
            ),
            Alarm.API_4XX: self._alarm(
                Alarm.API_4XX, client_errors, limits.alarm_api_4xx, f"The API refuses requests. {status}"
            ),
            Alarm.API_5XX: self._alarm(Alarm.API_5XX, server_errors, limits.alarm_api_5xx, f"The API fails. {logs}"),
            Alarm.QUEUE_AGE: self._alarm(
                Alarm.QUEUE_AGE, age, limits.alarm_queue_age_s, f"Events wait too long. {status}"
            ),
            # Lambda counts no error where a batch fails in part, so the runtime counts failed attempts.
            Alarm.WORKER_FAILURES: self._alarm(
                Alarm.WORKER_FAILURES, failed_attempts, limits.alarm_worker_failures, f"Attempts fail. {logs}"
            ),
        }

    def _advice(self, *words: str, **options: str) -> str:
        """What to run; with the environment, because the description is read in a mail. And the runbook."""
        shown = suggest.command("rtp", *words, env=self._plan.env, **options)
        return suggest.sentence("See {}, and {} for what to do.", shown, suggest.literal("rtp docs incident"))

    def _alarm(
        self, alarm: Alarm, metric: cloudwatch.IMetric, threshold: float, description: str, *, periods: int = 1
    ) -> cloudwatch.Alarm:
        return notifying(
            self,
            alarm.name.title().replace("_", ""),
            self.notify,
            alarm_name=self._plan.names.alarm(alarm),
            alarm_description=description,
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
        )


def notifying(scope: Construct, id: str, notify: actions.SnsAction, **properties: Any) -> cloudwatch.Alarm:
    """An alarm that fires at its threshold and above, stays quiet without data, and notifies of both changes."""
    alarm = cloudwatch.Alarm(
        scope,
        id,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        **properties,
    )
    alarm.add_alarm_action(notify)
    alarm.add_ok_action(notify)
    return alarm
