"""Every alarm has an existing metric, and its actions reach a topic that it may publish to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rtp.contract import Alarm

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.infra.conftest import Template

    Rule = Callable[[Template], bool]
    Change = Callable[[Template], object]

CLOUDWATCH = "cloudwatch.amazonaws.com"
# Alarms that indicate a bad version. Client errors and old dead events must not trigger a rollback.
TRIGGERS = (Alarm.LAMBDA_ERRORS, Alarm.LAMBDA_DURATION, Alarm.LAMBDA_THROTTLES, Alarm.API_5XX, Alarm.WORKER_FAILURES)


def every_alarm_reaches_the_topic(t: Template) -> bool:
    """A3-1, B20, B21: from the alarm to its action, the topic's policy and the policy of the topic's key."""
    alarms = t.of("CloudWatch::Alarm")
    return len(alarms) == len(t.plan.alarms) + len(_rollout_alarms(t)) and all(
        alarm["AlarmActions"]
        and alarm["OKActions"] == alarm["AlarmActions"]
        and alarm.get("ActionsEnabled") is not False
        and all(_may_publish(t, action) for action in alarm["AlarmActions"])
        for alarm in alarms.values()
    )


def all_alarms_exist(t: Template) -> bool:
    """The alarms have the names that the commands look up."""
    names = {alarm["AlarmName"] for alarm in t.of("CloudWatch::Alarm").values()}
    return names == {t.plan.names.alarm(alarm) for alarm in t.plan.alarms} | _rollout_alarms(t)


def every_alarm_says_what_to_do(t: Template) -> bool:
    """Its description, which the mail has, names a page of the manual, and of the first eight a command too."""
    eight = {t.plan.names.alarm(alarm) for alarm in set(Alarm) - {Alarm.NOTIFIER_ERRORS}}
    return all(
        "`rtp docs incident`" in alarm["AlarmDescription"] and f"--env={t.plan.env}" in alarm["AlarmDescription"]
        if alarm["AlarmName"] in eight
        else "`rtp docs " in alarm["AlarmDescription"]
        for alarm in t.of("CloudWatch::Alarm").values()
    )


def queues_are_watched_by_their_maximum(t: Template) -> bool:
    """B4: depth of the dead-letter queue and age of the oldest message, by their maximum."""
    dead, age = t.alarm("dlq-messages"), t.alarm("queue-age")
    return (
        (dead["MetricName"], dead["Statistic"]) == ("ApproximateNumberOfMessagesVisible", "Maximum")
        and dead["Dimensions"] == [{"Name": "QueueName", "Value": t.plan.names.dlq}]
        and (age["MetricName"], age["Statistic"]) == ("ApproximateAgeOfOldestMessage", "Maximum")
        and age["Dimensions"] == [{"Name": "QueueName", "Value": t.plan.names.queue}]
    )


def partial_failures_are_counted(t: Template) -> bool:
    """B4: Lambda counts no error when a batch fails in part; the runtime's metric does."""
    alarm = t.alarm("worker-failures")
    dimensions = {d["Name"]: d["Value"] for d in alarm["Dimensions"]}
    return (alarm["Namespace"], alarm["MetricName"]) == ("rtp", "EventsFailed") and dimensions == {
        "env": t.plan.env,
        "project": t.plan.project,
    }


def the_api_is_watched(t: Template) -> bool:
    """Each of its alarms has its own metric of the API."""
    return all(
        (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == ("AWS/ApiGateway", metric, "Sum")
        and alarm["Dimensions"] == [{"Name": "ApiName", "Value": t.plan.names.api}]
        for alarm, metric in ((t.alarm("api-4xx"), "4XXError"), (t.alarm("api-5xx"), "5XXError"))
    )


def both_functions_are_watched(t: Template) -> bool:
    """Errors, durations and throttles are of both; the local engine has no metric math and watches the processor."""
    names = {t.plan.names.processor} if t.plan.local else {t.plan.names.processor, t.plan.names.worker}
    return all(
        {d["Value"] for d in _dimensions(t.alarm(name))} == names
        for name in ("lambda-errors", "lambda-duration", "lambda-throttles")
    )


def missing_data_is_not_an_alarm(t: Template) -> bool:
    """An idle pipeline sends no metrics."""
    return all(
        alarm["TreatMissingData"] == "notBreaching" and alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
        for alarm in t.of("CloudWatch::Alarm").values()
    )


def an_alarm_that_rolls_back_fires_in_time(t: Template) -> bool:
    """The least time that a bad version is watched is five minutes: a canary's, and that of a protected deploy.

    CloudWatch evaluates every minute over the last period, so that a sum reaches its threshold as soon as the events
    are there; what needs several periods in a row takes all of them. A minute more for the metric to arrive.
    """
    alarms = [t.alarm(alarm) for alarm in TRIGGERS]
    alarms += [a for a in t.of("CloudWatch::Alarm").values() if a["AlarmName"] in _rollout_alarms(t)]
    return all(_seconds_to_fire(alarm) + 60 <= 300 for alarm in alarms)


def the_newest_version_is_watched_alone(t: Template) -> bool:
    """While it has a tenth of the traffic, its metrics are those of a function, an alias and a version."""
    for name in _rollout_alarms(t):
        alarm = t.one("CloudWatch::Alarm", AlarmName=name)
        dimensions = {d["Name"]: d["Value"] for d in alarm["Dimensions"]}
        function = t.plan.names.worker if name.startswith(t.plan.names.worker) else t.plan.names.processor
        version = dimensions["ExecutedVersion"]["Fn::GetAtt"][0]
        of_alias = t.resource(version)["Properties"]["FunctionName"]["Ref"]
        if (
            (dimensions["FunctionName"], dimensions["Resource"]) != (function, f"{function}:live")
            or t.resource(of_alias)["Properties"]["FunctionName"] != function
            or alarm["Period"] != 60
        ):
            return False
    return True


def the_dashboard_has_every_alarm_and_only_this_environment(t: Template) -> bool:
    """Every alarm, and no metric of another environment."""
    dashboard = t.one("CloudWatch::Dashboard")
    text = dashboard["DashboardBody"]
    names = t.plan.names
    values = {names.processor, names.worker, names.queue, names.dlq, names.api, t.plan.env, t.plan.project}
    plotted = [series for w in json.loads(text)["widgets"] for series in w["properties"].get("metrics", [])]
    return (
        dashboard["DashboardName"] == names.dashboard
        and all(f":alarm:{names.alarm(alarm)}" in text for alarm in t.plan.alarms)
        and len(plotted) >= 20
        and all(value in values for series in plotted for value in series[3::2])
    )


def a_rollout_is_rolled_back_by_alarms(t: Template) -> bool:
    """Where traffic is shifted, the alarms of a bad version stop the shift, for both functions."""
    groups = t.of("CodeDeploy::DeploymentGroup").values()
    if not t.plan.shifted:
        return not groups
    triggers = {t.plan.names.alarm(alarm) for alarm in TRIGGERS}
    named = {id: alarm["AlarmName"] for id, alarm in t.of("CloudWatch::Alarm").items()}
    watched = [{named[a["Name"]["Ref"]] for a in g["AlarmConfiguration"]["Alarms"]} for g in groups]
    own = [{n for n in _rollout_alarms(t) if n.startswith(f)} for f in (t.plan.names.processor, t.plan.names.worker)]
    return sorted(map(sorted, watched)) == sorted(sorted(triggers | names) for names in own) and all(
        g["AlarmConfiguration"]["Enabled"] is True
        and set(g["AutoRollbackConfiguration"]["Events"])
        == {"DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_REQUEST", "DEPLOYMENT_STOP_ON_ALARM"}
        and all("CodeDeployLambdaAliasUpdate" in r.get("UpdatePolicy", {}) for r in _aliases(t))
        for g in groups
    )


def _rollout_alarms(t: Template) -> set[str]:
    """Names of the alarms of the newest versions."""
    functions = (t.plan.names.processor, t.plan.names.worker) if t.plan.shifted else ()
    return {f"{function}-rollout-{kind}" for function in functions for kind in ("errors", "duration")}


def _seconds_to_fire(alarm: dict[str, Any]) -> int:
    """The least time from the first bad minute until an alarm can fire."""
    metrics = [m["MetricStat"] for m in alarm.get("Metrics", ()) if "MetricStat" in m] or [alarm]
    statistic, period = metrics[0].get("Stat") or metrics[0].get("Statistic"), metrics[0]["Period"]
    if statistic == "Sum" and alarm["EvaluationPeriods"] == 1:
        return 60
    return int(period * alarm["EvaluationPeriods"])


def _may_publish(t: Template, action: dict[str, Any]) -> bool:
    topic = action["Ref"]
    (policy,) = (p for p in t.of("SNS::TopicPolicy").values() if {"Ref": topic} in p["Topics"])
    key = t.of("SNS::Topic")[topic]["KmsMasterKeyId"]["Fn::GetAtt"][0]
    to_topic = _allowed(policy["PolicyDocument"])
    to_key = _allowed(t.of("KMS::Key")[key]["KeyPolicy"])
    source = {"aws:SourceAccount": t.plan.account}
    return all(
        any(s["Condition"].get("StringEquals") == source for s in statements)
        for statements in (
            to_topic.get("sns:Publish", []),
            to_key.get("kms:Decrypt", []),
            to_key.get("kms:GenerateDataKey*", []),
        )
    )


def _allowed(policy: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Action -> the statements that allow it to CloudWatch."""
    statements_of: dict[str, list[dict[str, Any]]] = {}
    for statement in policy["Statement"]:
        if statement["Effect"] == "Allow" and statement["Principal"] == {"Service": CLOUDWATCH}:
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                statements_of.setdefault(action, []).append(statement)
    return statements_of


def _dimensions(alarm: dict[str, Any]) -> list[dict[str, str]]:
    metrics = [m["MetricStat"]["Metric"] for m in alarm.get("Metrics", []) if "MetricStat" in m] or [alarm]
    return [d for metric in metrics for d in metric["Dimensions"]]


def _aliases(t: Template) -> list[dict[str, Any]]:
    return [t.resource(id) for id in t.of("Lambda::Alias")]


def _policy(t: Template) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = t.one("SNS::TopicPolicy")["PolicyDocument"]["Statement"]
    return statements


def _key_policy(t: Template) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = t.one("KMS::Key")["KeyPolicy"]["Statement"]
    return statements


def _drop(statements: list[dict[str, Any]], sid: str) -> None:
    statements[:] = [s for s in statements if s.get("Sid") != sid]


def _first_alarm(t: Template) -> dict[str, Any]:
    return next(iter(t.of("CloudWatch::Alarm").values()))


MUTANTS: list[tuple[Rule, str, Change]] = [
    (every_alarm_says_what_to_do, "prod", lambda t: _first_alarm(t).update(AlarmDescription="Events are dead.")),
    (every_alarm_reaches_the_topic, "prod", lambda t: _drop(_policy(t), "Alarms")),
    (every_alarm_reaches_the_topic, "prod", lambda t: _drop(_key_policy(t), "AlarmsToTopic")),
    (every_alarm_reaches_the_topic, "prod", lambda t: _policy(t)[1].pop("Condition")),
    (every_alarm_reaches_the_topic, "prod", lambda t: _first_alarm(t).update(AlarmActions=[])),
    (every_alarm_reaches_the_topic, "prod", lambda t: _first_alarm(t).update(OKActions=[])),
    (
        every_alarm_reaches_the_topic,
        "prod",
        lambda t: t.body["Resources"].pop(t.id("CloudWatch::Alarm", MetricName="EventsFailed")),
    ),
    (all_alarms_exist, "dev", lambda t: _first_alarm(t).update(AlarmName="other")),
    (queues_are_watched_by_their_maximum, "dev", lambda t: t.alarm("dlq-messages").update(Statistic="Average")),
    (queues_are_watched_by_their_maximum, "dev", lambda t: t.alarm("queue-age").update(Dimensions=[])),
    (partial_failures_are_counted, "dev", lambda t: t.alarm("worker-failures").update(Namespace="AWS/Lambda")),
    (the_api_is_watched, "dev", lambda t: t.alarm("api-5xx").update(MetricName="4XXError")),
    (both_functions_are_watched, "dev", lambda t: t.alarm("lambda-errors")["Metrics"].pop()),
    (missing_data_is_not_an_alarm, "dev", lambda t: t.alarm("api-5xx").update(TreatMissingData="missing")),
    (an_alarm_that_rolls_back_fires_in_time, "dev", lambda t: t.alarm("lambda-duration").update(EvaluationPeriods=5)),
    (
        an_alarm_that_rolls_back_fires_in_time,
        "odd",
        lambda t: t.one("CloudWatch::Alarm", AlarmName="acme-odd-worker-rollout-duration").update(Period=300),
    ),
    (
        the_newest_version_is_watched_alone,
        "odd",
        lambda t: t.one("CloudWatch::Alarm", AlarmName="acme-odd-worker-rollout-errors")["Dimensions"].pop(),
    ),
    (
        the_dashboard_has_every_alarm_and_only_this_environment,
        "dev",
        lambda t: t.one("CloudWatch::Dashboard").update(DashboardBody='{"widgets": []}'),
    ),
    (
        a_rollout_is_rolled_back_by_alarms,
        "odd",
        lambda t: next(iter(t.of("CodeDeploy::DeploymentGroup").values())).pop("AlarmConfiguration") and None,
    ),
    (a_rollout_is_rolled_back_by_alarms, "odd", lambda t: _aliases(t)[0].pop("UpdatePolicy")),
]


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _, _ in MUTANTS), ids=lambda rule: rule.__name__)
def test_every_template_keeps(rule: Rule, template: Template) -> None:
    assert rule(template)


@pytest.mark.parametrize(("rule", "env", "change"), MUTANTS, ids=[rule.__name__ for rule, _, _ in MUTANTS])
def test_a_mutant_is_caught_by(
    rule: Rule, env: str, change: Change, caught: Callable[[Rule, str, Change], bool]
) -> None:
    assert caught(rule, env, change)
