"""DLQ messages: both forms, their errors, and the filters that select them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.aws import queues
from rtp.commands.render import dlq as render_dlq
from rtp.errors import UsageError
from rtp.ops import causes
from rtp.ops.causes import Cause
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq.filters import Filters, facts
from rtp.ops.dlq.inspect import Group, inspect
from rtp.ops.work.pool import Stop
from rtp.text import json_values, queries, regexes
from rtp.text.elements import Column, dim
from rtp.text.times import parse_when
from tests.unit.ops.fakes import DLQ, OUTPUTS, TABLE, FakeAws, event

if TYPE_CHECKING:
    from rtp.ops.dlq.messages import DlqMessage


def message(body: str, *, receives: int = 3, **attributes: str) -> queues.Message:
    texts = {k: queues.attribute(v) for k, v in attributes.items()}
    return queues.Message("m1", "r1", body, texts, 1_700_000_000_000, receives)


def envelope(payload: Any, **more: Any) -> str:
    return json.dumps(
        {
            "version": "1.0",
            "timestamp": "2026-01-01T00:00:00.000Z",
            "requestContext": {
                "requestId": "req-1",
                "functionArn": "arn:aws:lambda:us-east-1:1:function:p:$LATEST",
                "condition": "RetriesExhausted",
                "approximateInvokeCount": 3,
            },
            "requestPayload": payload,
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "responsePayload": {"errorType": "KeyError", "errorMessage": "'total'"},
            **more,
        }
    )


def test_a_message_from_the_worker_has_its_error() -> None:
    dlq_message = dlq.read(message(event(5), rtp_error_type="Reject", rtp_error_message="negative total"))

    assert (dlq_message.identity, dlq_message.type, dlq_message.kind) == (("e5", 5), "order.created", "queue")
    assert dlq_message.error == Cause("Reject", "negative total")


def test_an_asynchronous_event_without_an_id_is_redriven_with_its_identity() -> None:
    # Given the record of a call, whose time the dead message does not know
    aws = FakeAws()
    aws.record("req-1", 42, status="dead", attempt_count=3)
    body = envelope({"type": "order.created", "data": {}})
    (dlq_message,) = dlq.joined(aws, TABLE, [message(body)])
    # Then that is the time which it goes back with
    sent = {name: value["StringValue"] for name, value in dlq.attributes(dlq_message, "run#m1")[0].items()}
    assert dlq_message.identity == ("req-1", 42)
    assert (sent["rtp_request_id"], sent["rtp_request_time"]) == ("req-1", "42")


def test_the_error_of_a_message_that_sqs_moved_is_read_from_the_record() -> None:
    aws = FakeAws()
    aws.record("e5", 5, status="dead", attempt_count=7, trace_id="1-2", error={"type": "E", "message": "boom 12"})

    (dlq_message,) = dlq.joined(aws, TABLE, [message(event(5))])

    assert (dlq_message.error, dlq_message.attempts, dlq_message.runs, dlq_message.trace_id) == (
        Cause("E", "boom 12"),
        7,
        7,
        "1-2",
    )
    assert dlq_message.error.signature == Cause("E", "boom 77").signature


def test_without_a_record_the_error_is_unknown() -> None:
    (dlq_message,) = dlq.joined(FakeAws(), TABLE, [message(event(5), receives=3)])

    assert dlq_message.error == Cause("", dlq.UNKNOWN)
    assert (dlq_message.attempts, dlq_message.runs) == (2, 0)


def test_an_event_without_an_id_has_the_identity_that_the_pipeline_gave_it() -> None:
    body = '{"type": "a", "data": {}}'

    by_attributes = dlq.read(message(body, rtp_request_id="req", rtp_request_time="17"))
    by_message = dlq.read(message(body))

    assert by_attributes.identity == ("req", 17)
    assert by_message.identity == ("m1", 1_700_000_000_000)


def test_the_message_of_a_failed_asynchronous_invocation_contains_the_event() -> None:
    dlq_message = dlq.read(message(envelope(json.loads(event(5)))))

    assert (dlq_message.kind, dlq_message.id, dlq_message.type, dlq_message.attempts) == (
        "async",
        "e5",
        "order.created",
        3,
    )
    assert dlq_message.error == Cause("KeyError", "'total'")
    assert json.loads(dlq_message.event) == json.loads(event(5))
    assert dlq_message.body != dlq_message.event


def test_the_event_of_an_api_request_in_an_envelope_is_its_body() -> None:
    request = {"httpMethod": "POST", "requestContext": {"requestId": "x"}, "body": event(5)}

    dlq_message = dlq.read(message(envelope(request)))

    assert (dlq_message.id, dlq_message.event) == ("e5", event(5))


def test_numbers_in_an_envelope_stay_exact() -> None:
    body = envelope({"type": "a", "data": {}, "id": "x", "timestamp": 1}).replace(
        '"data": {}', '"data": {"n": 0.10000000000000000000000000000000000001}'
    )

    assert "0.10000000000000000000000000000000000001" in dlq.read(message(body)).event


def test_the_record_of_an_asynchronous_event_without_an_id_is_found_by_its_request_id() -> None:
    aws = FakeAws()
    aws.record("req-1", 99, status="dead", attempt_count=3, error={"type": "E", "message": "m"})

    (dlq_message,) = dlq.joined(aws, TABLE, [message(envelope({"type": "a", "data": {}}))])

    assert dlq_message.identity == ("req-1", 99)
    assert dlq_message.error == Cause("E", "m")  # the record knows better than Lambda


def test_the_error_is_read_from_lambdas_own_attributes() -> None:
    dlq_message = dlq.read(message(event(5), RequestID="req-1", ErrorCode="200", ErrorMessage="boom"))

    assert (dlq_message.kind, dlq_message.error.message, dlq_message.event) == ("async", "boom", event(5))


JSON = st.recursive(
    st.none() | st.text() | st.integers() | st.sampled_from(["e1", "id"]),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["type", "id", "data", "timestamp", "body"]), inner)
    ),
    max_leaves=5,
)


@given(
    st.text() | JSON.map(json.dumps) | st.builds(lambda a, b: envelope(a, responsePayload=b), JSON, JSON),
    st.dictionaries(st.sampled_from(["rtp_request_id", "rtp_request_time", "rtp_error_type"]), st.text(min_size=1)),
)
def test_any_message_can_be_shown(body: str, attributes: dict[str, str]) -> None:
    aws = FakeAws()

    (dlq_message,) = dlq.joined(aws, TABLE, [message(body, receives=1, **attributes)])

    assert dlq_message.error.message or dlq_message.error.type
    assert json.loads(json_values.dumps(dlq_message))["body"] == body
    assert Filters().match(dlq_message)


def test_a_redriven_message_has_its_identity_and_no_old_error() -> None:
    dlq_message = dlq.read(
        message('{"type": "a", "data": {}}', rtp_error_type="E", rtp_error_message="m", mine="kept", rtp_source="api")
    )

    created, left_out = dlq.attributes(dlq_message, "run#m1")

    assert left_out == []
    assert {k: v["StringValue"] for k, v in created.items()} == {
        "mine": "kept",
        "rtp_request_id": "m1",
        "rtp_request_time": "1700000000000",
        "rtp_source": "redrive",
        "rtp_redrive": "run#m1",
    }


@pytest.mark.parametrize(("count", "left_out"), [(6, []), (9, []), (10, ["a9"])])
def test_no_attribute_of_a_foreign_message_is_dropped_unsaid(count: int, left_out: list[str]) -> None:
    many = {f"a{n}": "x" for n in range(count)}

    created, without = dlq.attributes(dlq.read(message(event(), receives=1, **many)), "run#m1")

    assert (len(created), without) == (10, left_out)
    assert "rtp_redrive" in created


def test_an_event_without_an_id_keeps_its_identity_before_attributes_of_its_sender() -> None:
    many = {f"a{n}": "x" for n in range(10)}

    created, without = dlq.attributes(dlq.read(message('{"type": "a", "data": {}}', receives=1, **many)), "run#m1")

    assert {"rtp_request_id", "rtp_request_time", "rtp_redrive"} <= set(created)
    assert without == ["a7", "a8", "a9"]


def test_the_age_of_a_message_counts_from_the_acceptance_of_its_event() -> None:
    # Given an event that was accepted two days ago, and whose message was redriven since
    aws = FakeAws()
    aws.put(DLQ, event(1))
    accepted = aws.queues[DLQ][0].sent_at - 2 * 86_400_000
    aws.record("e1", 1, status="dead", attempt_count=3, accepted_at=accepted)

    (found,) = inspect(aws, OUTPUTS, Filters(), limit=10, stop=Stop()).messages

    assert parse_when(found.first_seen) == accepted
    assert not Filters(since=accepted + 1).match(found)


def dlq_messages() -> list[DlqMessage]:
    return [
        dlq.read(message(event(1), rtp_error_type="KeyError", rtp_error_message="'total'")),
        dlq.read(message(event(2), rtp_error_type="Reject", rtp_error_message="negative 5")),
        dlq.read(message(event(3, "other"), rtp_error_type="Reject", rtp_error_message="negative 6")),
    ]


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (Filters(), ["e1", "e2", "e3"]),
        (Filters(ids=("e1", "e3")), ["e1", "e3"]),
        (Filters(types=("other",)), ["e3"]),
        (Filters(error="reject"), ["e2", "e3"]),
        (Filters(error=Cause("Reject", "negative 7").signature), ["e2", "e3"]),
        (Filters(grep=regexes.compiled('"n": [23]', option="--grep")), ["e2", "e3"]),
        (Filters(error="reject", types=("order.created",)), ["e2"]),
        (Filters(since=1_700_000_000_001), []),
        (Filters(message_ids=frozenset()), []),
    ],
)
def test_a_message_must_meet_every_filter(filters: Filters, ids: list[str]) -> None:
    assert [dlq_message.id for dlq_message in filters.select(dlq_messages())] == ids


def test_the_ends_of_a_time_and_the_beginning_of_a_releases_hash_match() -> None:
    (one, *_) = dlq_messages()
    sent = one.accepted_at
    assert [Filters(since=at).match(one) for at in (sent - 1, sent, sent + 1)] == [True, True, False]
    assert [Filters(until=at).match(one) for at in (sent - 1, sent, sent + 1)] == [False, True, True]
    released = replace(one, release="abcdef012345")
    assert [Filters(release=hash_).match(released) for hash_ in ("abcdef", "bcdef")] == [True, False]
    assert not Filters(release="abcdef").match(one)


def test_where_sees_the_data_of_the_event() -> None:
    def chosen(expression: str) -> list[str]:
        where = queries.compiled(expression, option="--where")
        return [dlq_message.id for dlq_message in Filters(where=where).select(dlq_messages())]

    assert chosen("data.n == `2`") == ["e2"]
    assert chosen("type == 'other' && error.type == 'Reject'") == ["e3"]
    broken = dlq.read(message("no event", rtp_error_type="E", rtp_error_message="m"))
    assert facts(broken)["data"] is None and facts(broken)["body"] == "no event"
    for body in ("[]", "[" * 100_000):
        assert facts(dlq.read(message(body)))["data"] is None


def test_a_part_of_an_id_stands_for_an_id_only_where_parts_are_allowed() -> None:
    one = dlq.read(message(event(1).replace('"e1"', '"order-1001"'), rtp_error_type="E", rtp_error_message="m"))
    assert Filters(ids=("1001",), with_parts=True).match(one)
    assert Filters(ids=("order",), with_parts=True).match(one)
    assert not Filters(ids=("1001",)).match(one)
    assert not Filters(ids=("01",), with_parts=True).match(one)  # too short
    assert not Filters(ids=("rder-1",), with_parts=True).match(one)  # in the middle


def test_the_messages_that_are_named_are_all_found_when_none_is_missing() -> None:
    named = Filters(message_ids=frozenset({"m1", "m2"}))
    assert named.all_found([], ["m1", "m2"]) and named.all_found([], ["m1", "m2", "m3"])
    assert not named.all_found([], ["m1"])


def test_similar_errors_are_one_group_and_the_most_frequent_is_first() -> None:
    first, *_ = dlq_messages()
    groups = causes.grouped([first, *dlq_messages()], lambda message: message.group)
    assert [(group.kind, group.where, len(same)) for group, same in groups] == [
        ("order.created", "KeyError: *", 2),
        ("order.created", "Reject: negative *", 1),
        ("other", "Reject: negative *", 1),
    ]
    assert [m.id for m in Filters(group=groups[1][0].id[:4]).select(dlq_messages())] == ["e2"]


def test_a_message_has_the_line_and_the_group_of_its_record() -> None:
    aws = FakeAws()
    aws.put(DLQ, event(1))
    aws.put(DLQ, event(2), rtp_error_type="Reject", rtp_error_message="no (attributes for which SQS has no room: a)")
    error = {"type": "Reject", "message": "no", "signature": "Reject: no", "at": "orders/price.py:12 price"}
    for n in (1, 2):
        aws.record(f"e{n}", n, status="dead", attempt_count=1, type="order.created", error=error)

    found = inspect(aws, OUTPUTS, Filters(), limit=10, stop=Stop())

    (group,) = found.groups
    assert (group.count, group.at, group.type) == (2, "orders/price.py:12 price", "order.created")
    assert group.id == causes.group("order.created", causes.of(error)).id


def test_an_invalid_pattern_is_refused() -> None:
    with pytest.raises(UsageError, match="--grep"):
        regexes.compiled("(", option="--grep")


def test_the_shape_of_an_inspection_is_pinned() -> None:
    aws = FakeAws()
    aws.put(DLQ, event(1), rtp_error_type="Reject", rtp_error_message="no")

    found = json.loads(json_values.dumps(inspect(aws, OUTPUTS, Filters(), limit=10, stop=Stop())))

    assert list(found) == ["queue", "depth", "messages", "groups", "unseen", "deadlines"]
    assert list(found["messages"][0]) == [
        "message_id", "id", "type", "body", "attempts", "first_seen", "error", "trace_id", "release"
    ]  # fmt: skip
    assert found["messages"][0]["error"] == {"type": "Reject", "message": "no", "at": ""}
    (group,) = found["groups"]
    assert list(group) == ["error", "count", "newest", "newest_id", "id", "type", "at"]
    assert (group["error"], group["count"], group["newest"], group["newest_id"]) == (
        "Reject: no",
        1,
        "Reject: no",
        "e1",
    )


def test_the_newest_message_of_a_group_stands_beside_its_masked_cause() -> None:
    aws = FakeAws()
    for n in range(3):
        aws.put(DLQ, event(n), rtp_error_type="KeyError", rtp_error_message=f"'customer_{n}'")

    (group,) = inspect(aws, OUTPUTS, Filters(), limit=10, stop=Stop()).groups

    newest = {f"e{n}": f"KeyError: 'customer_{n}'" for n in range(3)}
    assert group.error == "KeyError: *" and group.count == 3
    assert group.newest == newest[group.newest_id]
    table = render_dlq.causes([group])
    assert [c.title for c in table.columns if isinstance(c, Column)] == ["COUNT", "ERROR", "NEWEST"]
    assert table.rows[0][2] == dim(group.newest.removeprefix("KeyError: "))


def test_a_cause_without_masked_values_is_shown_once() -> None:
    table = render_dlq.causes([Group("Reject: no", 1, "Reject: no", "e1")])
    assert table.rows == [(1, "Reject: no")]


def test_an_inspection_leaves_every_message_visible_and_unchanged() -> None:
    aws = FakeAws()
    for n in range(57):
        aws.put(DLQ, event(n))

    for _ in range(3):
        found = inspect(aws, OUTPUTS, Filters(), limit=1000, stop=Stop())
        assert sorted(m.id for m in found.messages) == sorted(f"e{n}" for n in range(57))

    assert aws.visible(DLQ) == len(aws.bodies(DLQ)) == 57
    assert aws.calls["delete_message_batch"] == 0


def test_an_inspection_that_fails_releases_what_it_received() -> None:
    aws = FakeAws()
    for n in range(40):
        aws.put(DLQ, event(n))

    def fault(operation: str, _when: str) -> None:
        if operation == "batch_get_item" and aws.calls[operation] == 2:
            raise KeyboardInterrupt

    aws.fault = fault
    with pytest.raises(KeyboardInterrupt):
        inspect(aws, OUTPUTS, Filters(), limit=1000, stop=Stop())

    assert aws.visible(DLQ) == 40


def test_an_inspection_ends_at_its_limit_or_when_stopped() -> None:
    aws = FakeAws()
    for n in range(500):
        aws.put(DLQ, event(n))

    assert len(inspect(aws, OUTPUTS, Filters(), limit=5, stop=Stop()).messages) == 5
    assert aws.calls["receive_message"] < 10
    stop = Stop()
    stop.drain.set()
    assert inspect(aws, OUTPUTS, Filters(), limit=5, stop=stop).messages == []
    assert aws.visible(DLQ) == 500
