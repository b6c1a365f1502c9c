"""Resources change as on AWS: through states in between, in which they refuse further changes."""

from __future__ import annotations

from typing import Any

import pytest

from rtp.local.weather import delays
from rtp.local.weather.effects.api_keys import ApiKeys
from rtp.local.weather.effects.event_sources import EventSourceStates
from rtp.local.weather.effects.functions import FailedUpdates, FunctionStates
from rtp.local.weather.effects.permissions import Permissions
from rtp.local.weather.effects.tables import TableStates
from tests.unit.local.weather.calls import Sky, code

LATER_S = 60.0


@pytest.mark.parametrize(
    ("operation", "params", "state"),
    [
        ("CreateEventSourceMapping", {}, "Creating"),
        ("UpdateEventSourceMapping", {"UUID": "u", "Enabled": True}, "Enabling"),
        ("UpdateEventSourceMapping", {"UUID": "u", "Enabled": False}, "Disabling"),
        ("UpdateEventSourceMapping", {"UUID": "u", "BatchSize": 1}, "Updating"),
    ],
)
def test_an_event_source_changes_through_a_state_that_refuses_changes(
    operation: str, params: dict[str, Any], state: str
) -> None:
    sky, mapping = Sky(EventSourceStates), {"UUID": "u", "State": "Enabled"}
    # Given a change that has begun
    assert sky.call("lambda", operation, mapping, **params).document["State"] == state
    # Then everybody sees the state in between, and no change is accepted
    assert sky.call("lambda", "GetEventSourceMapping", mapping, UUID="u").document["State"] == state
    listed = sky.call("lambda", "ListEventSourceMappings", {"EventSourceMappings": [mapping]})
    assert listed.document["EventSourceMappings"][0]["State"] == state
    for change in ("UpdateEventSourceMapping", "DeleteEventSourceMapping"):
        assert code(sky.call("lambda", change, mapping, UUID="u")) == "ResourceInUseException"
    # And later the change is over
    sky.now += LATER_S
    assert sky.call("lambda", "GetEventSourceMapping", mapping, UUID="u").document["State"] == "Enabled"


def test_an_event_source_that_is_being_deleted_still_exists() -> None:
    sky, mapping = Sky(EventSourceStates), {"UUID": "u", "State": "Enabled", "EventSourceArn": "q"}
    sky.call("lambda", "DeleteEventSourceMapping", mapping, UUID="u")
    assert sky.call("lambda", "GetEventSourceMapping", None, UUID="u").document["State"] == "Deleting"
    listed = sky.call("lambda", "ListEventSourceMappings", {"EventSourceMappings": []}, EventSourceArn="q")
    assert [m["State"] for m in listed.document["EventSourceMappings"]] == ["Deleting"]
    sky.now += LATER_S
    listed = sky.call("lambda", "ListEventSourceMappings", {"EventSourceMappings": []}, EventSourceArn="q")
    assert listed.document["EventSourceMappings"] == []


@pytest.mark.parametrize("name", ["f", "f:live", "arn:aws:lambda:us-east-1:1:function:f", "1:function:f:live"])
def test_a_function_that_is_updated_refuses_updates(name: str) -> None:
    sky, done = Sky(FunctionStates), {"LastUpdateStatus": "Successful"}
    assert sky.call("lambda", "UpdateFunctionCode", done, FunctionName="f").document["LastUpdateStatus"] == "InProgress"
    described = sky.call("lambda", "GetFunction", {"Configuration": done}, FunctionName=name).document
    assert described["Configuration"]["LastUpdateStatus"] == "InProgress"
    for operation in ("UpdateFunctionConfiguration", "PublishVersion"):
        assert code(sky.call("lambda", operation, done, FunctionName=name)) == "ResourceConflictException"
    assert sky.call("lambda", "Invoke", {}, FunctionName=name).ok
    sky.now += LATER_S
    assert sky.call("lambda", "GetFunctionConfiguration", done, FunctionName=name).document == done


def test_a_function_that_is_created_cannot_be_invoked() -> None:
    sky = Sky(FunctionStates)
    assert sky.call("lambda", "CreateFunction", {}, FunctionName="f").document["State"] == "Pending"
    assert code(sky.call("lambda", "Invoke", {}, FunctionName="f")) == "ResourceConflictException"
    sky.now += LATER_S
    assert sky.call("lambda", "Invoke", {}, FunctionName="f").ok


def test_an_update_of_a_function_fails_after_it_was_accepted() -> None:
    sky, done = Sky(FailedUpdates), {"LastUpdateStatus": "Successful"}
    assert sky.call("lambda", "GetFunctionConfiguration", done, FunctionName="f").document == done
    sky.call("lambda", "UpdateFunctionCode", done, FunctionName="f")
    failed = sky.call("lambda", "GetFunctionConfiguration", done, FunctionName="f").document
    assert failed["LastUpdateStatus"] == "Failed" and failed["LastUpdateStatusReason"]
    assert FailedUpdates.is_optional


def test_a_table_changes_through_a_state_that_refuses_changes() -> None:
    sky = Sky(TableStates)
    table = {"TableStatus": "ACTIVE", "GlobalSecondaryIndexes": [{"IndexName": "i", "IndexStatus": "ACTIVE"}]}
    updates = [{"Create": {"IndexName": "i"}}]
    updated = sky.call(
        "dynamodb", "UpdateTable", {"TableDescription": table}, TableName="t", GlobalSecondaryIndexUpdates=updates
    ).document["TableDescription"]
    assert (updated["TableStatus"], updated["GlobalSecondaryIndexes"][0]["IndexStatus"]) == ("UPDATING", "CREATING")
    described = sky.call("dynamodb", "DescribeTable", {"Table": table}, TableName="arn:aws:dynamodb:r:1:table/t")
    assert described.document["Table"]["TableStatus"] == "UPDATING"
    assert code(sky.call("dynamodb", "DeleteTable", {}, TableName="t")) == "ResourceInUseException"
    assert sky.call("dynamodb", "GetItem", {}, TableName="t").ok
    sky.now += LATER_S
    assert sky.call("dynamodb", "DescribeTable", {"Table": table}, TableName="t").document["Table"] == table


def test_a_table_that_is_deleted_has_no_items_and_exists() -> None:
    sky, table = Sky(TableStates), {"TableStatus": "DELETING"}
    sky.call("dynamodb", "DeleteTable", {"TableDescription": table}, TableName="t")
    assert code(sky.call("dynamodb", "GetItem", {}, TableName="t")) == "ResourceNotFoundException"
    described = sky.call("dynamodb", "DescribeTable", None, TableName="t")
    assert described.document["Table"]["TableStatus"] == "DELETING"


def test_a_new_api_key_is_refused_for_a_while() -> None:
    class KeyDates(ApiKeys):
        def created(self, value: str) -> float | None:
            return 1_000_000.0 if value == "new" else None

    sky = Sky(KeyDates)
    refused = sky.call("execute-api", "POST /events", headers={"x-api-key": "new"})
    assert (refused.status, refused.document, code(refused)) == (403, {"message": "Forbidden"}, "ForbiddenException")
    assert sky.call("execute-api", "POST /events", headers={"x-api-key": "unknown"}).ok  # the engine's to refuse
    sky.now += LATER_S
    assert sky.call("execute-api", "POST /events", headers={"x-api-key": "new"}).ok


def test_a_new_role_has_no_permission_for_a_while() -> None:
    class RoleDates(Permissions):
        def role(self, access_key_id: str) -> str:
            return "worker" if access_key_id.startswith("ASIA") else ""

        def created(self, role: str) -> float | None:
            return 1_000_000.0 if role == "worker" else None

    sky = Sky(RoleDates)
    signed = {"authorization": "AWS4-HMAC-SHA256 Credential=ASIA1/20270115/us-east-1/dynamodb/aws4_request"}
    assert code(sky.call("dynamodb", "GetItem", headers=signed)) == "AccessDeniedException"
    assert sky.call(
        "dynamodb", "GetItem", headers={"authorization": signed["authorization"].replace("ASIA", "LKIA")}
    ).ok
    sky.now += LATER_S
    assert sky.call("dynamodb", "GetItem", headers=signed).ok


def test_a_delay_of_an_identity_is_always_the_same_and_in_its_range() -> None:
    delay = delays.Delay(1.0, 3.0, "minutes")
    times = {delay.of(str(n)) for n in range(100)}
    assert all(1.0 <= time <= 3.0 for time in times) and len(times) == 100
    assert delay.of("1") == delay.of("1")
    assert str(delay) == "1 to 3 s; on AWS minutes"
