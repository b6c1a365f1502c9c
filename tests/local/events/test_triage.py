"""rtp triage on real failures: groups of one cause, their releases and lines, and what is said of them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from rtp.contract import Output
from tests.local.conftest import is_count
from tests.local.events.conftest import soon_visible
from tests.local.watch.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local.events.conftest import Pipeline


def groups(pipeline: Pipeline, *options: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The groups by event type and error type."""
    found = pipeline.project.rtp("triage", "--json", *options, ok=False).json
    assert {"env", "red", "changes", "groups", "queues", "read", "more", "unread"} <= found.keys()
    return {(g["type"], g["error"].partition(":")[0]): g for g in found["groups"]}


def without_dead_orders(pipeline: Pipeline) -> None:
    """Delete the records of dead orders, as when they have expired."""
    table = {"TableName": pipeline.outputs[Output.TABLE]}
    for item in list(pipeline.aws.pages("dynamodb", "scan", "Items", **table, ConsistentRead=True)):
        if (item.get("status"), item.get("type")) == ({"S": "dead"}, {"S": "order.created"}):
            key = {name: item[name] for name in ("id", "timestamp")}
            pipeline.aws.call("dynamodb", "delete_item", **table, Key=key)


def test_an_incident_from_its_groups_to_a_regression(pipeline: Pipeline) -> None:
    rtp = pipeline.project.rtp
    # Given failures of two causes
    pipeline.break_()
    ids = pipeline.kill_orders(3)
    pipeline.kill_orders(1, kind="bad", data='{"why": "no"}')

    def both() -> list[dict[str, Any]]:  # the index of records may lag
        found = groups(pipeline)
        here = [found[key] for key in (("order.created", "KeyError"), ("bad", "Reject")) if key in found]
        return here if len(here) == 2 and here[0]["newest"]["id"] in ids else []

    # When one asks what is wrong / Then each cause is one group, with its line, its release and a real event
    keyed, rejected = until(both)
    assert keyed["error"] == "KeyError: *" and keyed["newest"]["error"] == "KeyError: 'total'"
    assert keyed["at"].startswith("processors.py:") and [s["fails"] for s in keyed["source"]].count(True) == 1
    assert len(keyed["release"]) == 12 and keyed["releases"][-1] == keyed["release"]
    assert rejected["id"] != keyed["id"] and rejected["dead"] >= 1

    # And the screen says what to run next, which works
    shown = rtp("triage", keyed["id"]).stdout
    assert "KeyError: 'total'" in shown and f"rtp dlq redrive --group={keyed['id']} --wait" in shown
    listed = rtp("records", "--group", keyed["id"], "--since", "14d", "--json").json["records"]
    assert {r["error"]["type"] for r in listed} == {"KeyError"}
    messages = rtp("dlq", "inspect", "--group", rejected["id"][:6], "--json").json["messages"]
    assert {m["type"] for m in messages} <= {"bad"}

    release = next(r["release"] for r in listed if r["id"] in ids)
    of_release = rtp("dlq", "inspect", "--release", release, "--json").json["messages"]
    assert set(ids) <= {m["id"] for m in of_release} and {m["release"] for m in of_release} == {release}
    assert rtp("dlq", "inspect", "--release", "0" * 12, "--json").json["messages"] == []

    # When somebody takes it / Then everybody sees that
    said = rtp("triage", "ack", keyed["id"], "--until", "100x", "-m", "looking", "--json").json
    assert (said["what"], said["until_count"]) == ("acked", 100)
    assert until(lambda: groups(pipeline)["order.created", "KeyError"]["state"] == "acked")
    assert "looking" in rtp("triage", keyed["id"]).stdout

    # When it is resolved and fails again in the release that resolved it / Then it is a regression, for CI too
    rtp("triage", "resolve", keyed["id"], "-m", "corrected")
    assert until(lambda: groups(pipeline)["order.created", "KeyError"]["state"] == "resolved")
    assert rtp("triage", "show", keyed["id"], "--fail-on", "new,regressed").code == 0
    # (it can be taken back)
    assert rtp("triage", "reopen", keyed["id"], "--json").json["what"] == "reopened"
    assert until(lambda: groups(pipeline)["order.created", "KeyError"]["state"] == "known")
    rtp("triage", "resolve", keyed["id"], "-m", "corrected")
    again = pipeline.kill_orders(1)
    assert until(lambda: groups(pipeline)["order.created", "KeyError"]["state"] == "regressed")
    assert rtp("triage", "--fail-on", "regressed", ok=False).code == 1
    # And a redrive of the group takes its messages alone
    pipeline.fix()
    # (and the history has who said what)
    said = [e for e in rtp("history", "--json").json["entries"] if e["command"].startswith("triage ")]
    assert [(e["command"], e["reason"]) for e in said[:4]] == [
        ("triage resolve", "corrected"),
        ("triage reopen", ""),
        ("triage resolve", "corrected"),
        ("triage ack", "looking"),
    ]
    assert said[0]["arguments"] == {"group": keyed["id"]}
    done = rtp("dlq", "redrive", "--group", keyed["id"], "--wait", "--yes", "--json").json
    redriven = {m["id"] for m in done["messages"]}
    assert set(again) <= redriven and is_count(len(redriven & {*ids, *again}), 4)

    # And where no failure of it is left, what was said of it stays, and can be taken back
    without_dead_orders(pipeline)  # of earlier tests, whose messages were purged

    def quiet() -> dict[str, Any]:
        found: dict[str, Any] = rtp("triage", "show", keyed["id"], "--json").json
        return found if found["count"] == 0 else {}

    left = until(quiet)
    assert (left["state"], left["type"], left["error"]) == ("resolved", "order.created", "KeyError: *")
    assert [note["text"] for note in left["notes"]][-4:] == ["looking", "corrected", "", "corrected"]
    shown = rtp("triage", keyed["id"][:6]).stdout
    assert "no failures since " in shown and f"rtp triage reopen {keyed['id']}" in shown
    assert rtp("triage", keyed["id"], "--compare", ok=False).code == 4
    assert rtp("triage", "reopen", keyed["id"], "--json").json["what"] == "reopened"
    assert (quiet()["state"], quiet()["at"]) == ("known", keyed["at"])


def test_a_group_that_is_none_is_refused(pipeline: Pipeline) -> None:
    for words, code in ((["triage", "zzzz"], 2), (["triage", "00000000"], 4), (["triage", "--fail-on", "old"], 2)):
        assert pipeline.project.rtp(*words, ok=False).code == code, words
    assert pipeline.project.rtp("triage", "note", "00000000", ok=False).code == 2


@contextmanager
def worker_that_does_not_start(pipeline: Pipeline) -> Iterator[None]:
    """In the block the worker's module cannot be imported."""
    name = pipeline.outputs[Output.WORKER]
    before = pipeline.aws.call("lambda", "get_function_configuration", FunctionName=name)["Handler"]
    pipeline.aws.call("lambda", "update_function_configuration", FunctionName=name, Handler="absent.handler")
    try:
        yield
    finally:
        pipeline.aws.call("lambda", "update_function_configuration", FunctionName=name, Handler=before)


def test_a_function_that_does_not_start_is_a_group_of_the_logs_and_its_events_are_rehearsed(pipeline: Pipeline) -> None:
    # Given a worker that cannot be imported, so that an event dies without a record
    with soon_visible(pipeline.aws, pipeline.outputs[Output.QUEUE_URL], 5), worker_that_does_not_start(pipeline):
        (order,) = pipeline.kill_orders(1)
    assert pipeline.statuses([order]) == {order: ""}

    # When one asks what is wrong / Then the cause is a group of the logs, and the event one of the DLQ
    def both() -> list[dict[str, Any]]:
        found = groups(pipeline)
        keys = (("", "Runtime.ImportModuleError"), ("order.created", "no reason is recorded"))
        if not all(key in found for key in keys) or not found[keys[0]]["release"]:  # whose line may come later
            return []
        return [found[key] for key in keys]

    failed, dead = until(both)
    assert (failed["count"], failed["dead"], failed["waiting"]) == (failed["logged"], 0, 0) and failed["logged"] >= 1
    assert "absent" in failed["newest"]["error"] and len(failed["release"]) == 12
    assert (dead["dead"], dead["logged"], dead["newest"]["id"]) == (1, 0, order)
    shown = pipeline.project.rtp("triage").stdout
    assert "1 message of the DLQ without a record" in shown and "of the logs" in shown
    # (lines may come late, and the group with them)
    assert until(lambda: "in the logs alone" in pipeline.project.rtp("triage", failed["id"], ok=False).stdout)

    # And a rehearsal runs the event of the message
    pipeline.fix()
    report = pipeline.project.rtp("rehearse", "--id", order, "--json").json
    assert (report["now_processed"], report["messages"]) == (1, 1)
    assert pipeline.project.rtp("rehearse", "--group", dead["id"], "--json").json["messages"] == 1


@pytest.mark.long  # half a minute until the message is dead
def test_what_a_processor_logs_is_a_group_and_what_a_record_has_counts_once(pipeline: Pipeline) -> None:
    # Given an error that a processor logs of events that it processes, and an event that ends the function each time
    rtp = pipeline.project.rtp
    before = groups(pipeline).get(("noisy", "LoggedError"), {"count": 0})["count"]
    for n in (1, 2):
        rtp("send", "--type", "noisy", "-d", f'{{"n": {n}}}')
    with soon_visible(pipeline.aws, pipeline.outputs[Output.QUEUE_URL], 15):
        (ended,) = pipeline.kill_orders(1, kind="exits")

    def found() -> dict[tuple[str, str], dict[str, Any]]:
        every = groups(pipeline)
        has_all = {("noisy", "LoggedError"), ("exits", "Interrupted")} <= every.keys()
        is_joined = all(key[1] != "Runtime.ExitError" for key in every)  # by lines that may come later
        return every if has_all and is_joined and every["noisy", "LoggedError"]["count"] >= before + 2 else {}

    # Then the logged errors are one group, each event once
    every = until(found)
    logged = every["noisy", "LoggedError"]
    assert logged["error"] == "LoggedError: partner * is down"
    assert logged["count"] == logged["logged"] and is_count(logged["count"], before + 2)
    # And the ended invocations are those of the record, and no group of their own
    assert every["exits", "Interrupted"]["newest"]["id"] == ended
