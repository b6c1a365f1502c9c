"""The notifier: what calls it, what of the table it may touch, and its own alarm."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.infra.conftest import Template

    Rule = Callable[[Template], bool]
    Change = Callable[[Template], object]


def only_who_asks_for_messages_has_a_stream(t: Template) -> bool:
    """The table of another environment stays as it was."""
    stream = t.one("DynamoDB::Table").get("StreamSpecification")
    sources = [s for s in t.of("Lambda::EventSourceMapping").values() if "StartingPosition" in s]
    if not t.plan.notified:
        return stream is None and not sources
    return stream == {"StreamViewType": "NEW_AND_OLD_IMAGES"} and len(sources) == 1


def it_is_called_for_dead_records_alone_and_not_for_ever(t: Template) -> bool:
    """A record that is claimed for its last attempt is dead with a lease."""
    source = t.one("Lambda::EventSourceMapping", StartingPosition="TRIM_HORIZON")
    (pattern,) = (json.loads(each["Pattern"]) for each in source["FilterCriteria"]["Filters"])
    return (
        pattern == {"dynamodb": {"NewImage": {"status": {"S": ["dead"]}, "lease_until": {"N": ["0"]}}}}
        and source["EventSourceArn"] == {"Fn::GetAtt": [t.id("DynamoDB::Table"), "StreamArn"]}
        and source["FunctionName"] == {"Ref": t.id("Lambda::Function", FunctionName=t.plan.names.notifier)}
        and (source["MaximumRetryAttempts"], source["MaximumRecordAgeInSeconds"]) == (3, 3600)
    )


def of_the_table_it_has_the_items_of_groups_alone(t: Template) -> bool:
    """It reads and writes no record."""
    (role,) = (r for id, r in t.of("IAM::Role").items() if id.startswith("NotifierFunctionRole"))
    statements = {s["Sid"]: s for s in role["Policies"][0]["PolicyDocument"]["Statement"]}
    (keys,) = statements["Groups"]["Condition"]["ForAllValues:StringLike"].values()
    return all(len(key.removesuffix("*")) > 128 and key.startswith("rtp-") for key in keys)


def its_failure_fires_an_alarm(t: Template) -> bool:
    """One error in five minutes."""
    alarm = t.alarm("notifier-errors")
    return (
        (alarm["Namespace"], alarm["MetricName"], alarm["Threshold"]) == ("AWS/Lambda", "Errors", 1)
        and alarm["Dimensions"] == [{"Name": "FunctionName", "Value": t.plan.names.notifier}]
        and alarm["AlarmActions"] == [{"Ref": t.id("SNS::Topic")}]
    )


def _source(t: Template) -> dict[str, object]:
    return t.one("Lambda::EventSourceMapping", StartingPosition="TRIM_HORIZON")


def _statement(t: Template, sid: str) -> dict[str, object]:
    (role,) = (r for id, r in t.of("IAM::Role").items() if id.startswith("NotifierFunctionRole"))
    found: list[dict[str, object]] = role["Policies"][0]["PolicyDocument"]["Statement"]
    return next(s for s in found if s["Sid"] == sid)


MUTANTS: list[tuple[Rule, Change]] = [
    (only_who_asks_for_messages_has_a_stream, lambda t: t.one("DynamoDB::Table").pop("StreamSpecification")),
    (it_is_called_for_dead_records_alone_and_not_for_ever, lambda t: _source(t).pop("FilterCriteria")),
    (it_is_called_for_dead_records_alone_and_not_for_ever, lambda t: _source(t).update(MaximumRetryAttempts=-1)),
    (of_the_table_it_has_the_items_of_groups_alone, lambda t: _statement(t, "Groups").pop("Condition")),
    (its_failure_fires_an_alarm, lambda t: t.alarm("notifier-errors").update(Threshold=5)),
]


def test_other_environments_have_none(templates: dict[str, Template]) -> None:
    assert [name for name, t in templates.items() if t.plan.notified] == ["dev"]
    assert all(only_who_asks_for_messages_has_a_stream(t) for t in templates.values())


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _ in MUTANTS), ids=lambda rule: rule.__name__)
def test_the_template_with_a_notifier_keeps(rule: Rule, templates: dict[str, Template]) -> None:
    assert rule(templates["dev"])


@pytest.mark.parametrize(("rule", "change"), MUTANTS)
def test_each_rule_fails_on_a_mutant(rule: Rule, change: Change, caught: Callable[[Rule, str, Change], bool]) -> None:
    assert caught(rule, "dev", change)
