"""`rtp replay`: archived events are processed again, unchanged, each once per replay."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rtp.ops.events.identity import uuid7
from tests.local.events.conftest import wait_for

if TYPE_CHECKING:
    from tests.local.events.conftest import Pipeline


def attempts(pipeline: Pipeline, event_id: str) -> list[str]:
    found = pipeline.project.rtp("show", event_id, "--json").json["attempts"]
    return [a["outcome"] for a in found]


def test_a_processed_event_runs_again_exactly_once(pipeline: Pipeline) -> None:
    pipeline.fix()
    sent = pipeline.project.rtp("send", "--type", "order.created", "-d", '{"n": 1.10}', "--json").json

    done = pipeline.project.rtp("replay", "--id", sent["id"], "--json").json

    assert (done["replayed"], [e["status"] for e in done["events"]]) == (1, ["processed"])
    wait_for(lambda: attempts(pipeline, sent["id"]) == ["processed", "processed"])
    record = pipeline.project.rtp("show", sent["id"], "--json").json["record"]
    assert (record["source"], record["data"]) == ("replay", {"n": 1.1})


def test_a_dead_event_whose_message_was_deleted_can_be_replayed(pipeline: Pipeline) -> None:
    # Given dead orders whose messages somebody deleted
    orders = pipeline.kill_orders(4)
    pipeline.project.rtp("dlq", "purge", "--all", "--yes")
    assert f"rtp replay --id={orders[0]}" in pipeline.project.rtp("show", orders[0]).stdout
    pipeline.fix()
    # When what is dead runs again
    done = pipeline.project.rtp(
        "replay", "--since", "1h", "--status", "dead", "--type", "order.created", "--json", "--query", "events[].id"
    ).json
    # Then
    assert set(orders) <= set(done)
    wait_for(lambda: set(pipeline.statuses(orders).values()) == {"processed"})


def test_replay_warns_that_a_dead_events_message_stays(pipeline: Pipeline) -> None:
    # Given a dead order
    (order,) = pipeline.kill_orders(1)
    pipeline.fix()
    # When it is replayed and not redriven / Then a warning says that its message stays
    done = pipeline.project.rtp("replay", "--id", order, "-e", "local")
    assert "dead-letter queue" in done.stderr and "`rtp dlq redrive --env=local`" in done.stderr
    wait_for(lambda: pipeline.statuses([order]) == {order: "processed"})
    # And the inspection says that the event was processed
    (left,) = pipeline.project.rtp("dlq", "inspect", "--id", order, "--json").json["messages"]
    assert "processed since" in left["error"]["message"]
    pipeline.project.rtp("dlq", "purge", "--id", order, "--yes")


def test_a_dry_run_lists_the_events(pipeline: Pipeline) -> None:
    kind = f"kind-{uuid7()}"
    events = [{"id": uuid7(), "type": kind, "data": {"n": n}} for n in range(25)]
    pipeline.project.rtp("send", "-", "--via", "sqs", "--wait", stdin="\n".join(map(json.dumps, events)))

    done = pipeline.project.rtp("replay", "--since", "10m", "--type", kind, "--dry-run", "--json").json

    assert done["dry_run"]
    assert {e["id"] for e in done["events"]} == {e["id"] for e in events}
    assert done["replayed"] == 0
    assert "25 events (25 processed) would be replayed" in (
        pipeline.project.rtp("replay", "--since", "10m", "--type", kind, "--dry-run").stdout
    )
    assert pipeline.project.rtp("replay", "--since", "10m", "--type", "none", "--json").json["events"] == []
    # And what was processed is not processed again without consent
    refused = pipeline.project.rtp("replay", "--since", "10m", "--type", kind, ok=False)
    assert refused.code == 5 and "25 processed" in refused.stderr and "--yes" in refused.stderr


def test_an_event_without_an_id_keeps_its_identity(pipeline: Pipeline) -> None:
    # Given an event that came without an id, and is known by its message
    pipeline.fix()
    answer = pipeline.aws.call(
        "sqs",
        "send_message",
        QueueUrl=pipeline.outputs["QueueUrl"],
        MessageBody='{"type": "order.created", "data": {}}',
    )
    event_id = answer["MessageId"]
    wait_for(lambda: pipeline.project.rtp("show", event_id, "--json", ok=False).json.get("record"))
    # When it runs again
    pipeline.project.rtp("replay", "--id", event_id)
    # Then it is the same event and not another one
    wait_for(lambda: attempts(pipeline, event_id) == ["processed", "processed"])
