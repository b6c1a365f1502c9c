"""`rtp rehearse`: dead events run through this folder's code, and nothing is stored, sent or emitted."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from rtp.aws import queues
from rtp.aws import records as stored
from rtp.contract import Output
from rtp.errors import ExitCode
from rtp.ops.events.identity import uuid7
from rtp.text import times
from tests.local.watch.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local.events.conftest import Pipeline

HOSTILE = """
import os, socket, subprocess, tempfile, time
from rtp.runtime import Event, processor

@processor("order.created")
def price(event: Event) -> dict:
    what = event.data["do"]
    if what == "hang":
        time.sleep(600)
    if what == "exit":
        os._exit(7)
    if what == "connect":
        socket.create_connection(("127.0.0.1", 9))
    if what == "write":
        open("/tmp/rtp-rehearsal-must-not-write", "w")
    if what == "start":
        subprocess.run(["true"])
    with tempfile.TemporaryDirectory() as folder:  # what Lambda has room for is allowed
        with open(os.path.join(folder, "a"), "w") as file:
            file.write("text")
        os.rename(os.path.join(folder, "a"), os.path.join(folder, "b"))
    event.emit("order.priced", {"id": event.id})
    return {"done": what}
"""


@contextmanager
def code(pipeline: Pipeline, text: str, settings: str = "") -> Iterator[None]:
    """In the block the folder has other processors; the deployed ones stay."""
    file, config = pipeline.project.root / "processors.py", pipeline.project.root / "rtp.toml"
    before = file.read_text(), config.read_text()
    file.write_text(text)
    config.write_text(config.read_text() + settings)
    try:
        yield
    finally:
        file.write_text(before[0])
        config.write_text(before[1])


@contextmanager
def limit(pipeline: Pipeline, *, seconds: int) -> Iterator[None]:
    """In the block the folder's functions have this time limit."""
    config = pipeline.project.root / "rtp.toml"
    before = config.read_text()
    config.write_text(before.replace("timeout_s = 10\n", f"timeout_s = {seconds}\n"))
    try:
        yield
    finally:
        config.write_text(before)


def rehearse(pipeline: Pipeline, *args: str, code: int) -> Any:
    done = pipeline.project.rtp("rehearse", *args, "--json", ok=False)
    assert done.code == code, done.stderr
    return done.json


def records_of(pipeline: Pipeline, event_id: str) -> dict[str, Any]:
    """The record of an event."""
    (record,) = stored.by_id(pipeline.aws, pipeline.outputs[Output.TABLE], event_id)
    return record


def state(pipeline: Pipeline) -> tuple[Any, ...]:
    """All that the pipeline holds: records, messages and objects."""
    aws, outputs = pipeline.aws, pipeline.outputs
    items = list(aws.pages("dynamodb", "scan", "Items", TableName=outputs[Output.TABLE], ConsistentRead=True))
    objects = list(aws.pages("s3", "list_objects_v2", "Contents", Bucket=outputs[Output.BUCKET]))
    return (
        sorted(map(repr, items)),
        sorted((each["Key"], each["ETag"]) for each in objects),
        sorted(message.body for message in (*pipeline.dlq, *pipeline.queue)),
    )


def test_a_corrected_processor_processes_the_dead_and_nothing_changes(pipeline: Pipeline) -> None:
    # Given two dead orders
    orders = pipeline.kill_orders(2)
    ids = [f"--id={order}" for order in orders]
    before = state(pipeline)
    # When the code is as it was / Then they are still dead, of the same cause
    result = rehearse(pipeline, *ids, code=1)
    (group,) = result["failing"]
    assert (result["still_dead"], result["now_processed"]) == (2, 0)
    assert (group["count"], group["is_known"], group["at"].split(":")[0]) == (2, True, "processors.py")
    assert rehearse(pipeline, "--group", group["group"], code=1)["still_dead"] >= 2
    # When it is corrected / Then they are processed
    pipeline.fix()
    result = rehearse(pipeline, *ids, code=0)
    assert (result["still_dead"], result["now_processed"]) == (0, 2)
    assert result["processed"][0]["result"] == {"priced": True}
    # And the dead are what is run by default
    assert "2 now processed" in pipeline.project.rtp("rehearse", "--limit", "2").stdout
    # And nothing was stored, sent or emitted
    assert state(pipeline) == before


def test_what_was_processed_is_compared_by_its_result(pipeline: Pipeline) -> None:
    pipeline.fix()
    sent = pipeline.project.rtp("send", "--type", "order.created", "-d", '{"n": 1.10}', "--json").json
    assert rehearse(pipeline, "--id", sent["id"], code=0)["same_result"] == 1

    other = (
        "from rtp.runtime import processor\n@processor('order.created')\ndef f(event): return {'n': event.data['n']}"
    )
    with code(pipeline, other):
        (difference,) = rehearse(pipeline, "--id", sent["id"], code=0)["differing"]
    assert [(c["path"], c["change"], c["after"]) for c in difference["changes"]] == [
        ("$.priced", "removed", None),
        ("$.n", "added", 1.1),
    ]

    with code(pipeline, other.replace("event.data['n']", "event.data['m']")):
        assert rehearse(pipeline, "--id", sent["id"], code=1)["newly_failing"] == 1


def test_what_a_processor_must_not_do_is_refused_and_the_others_go_on(pipeline: Pipeline) -> None:
    kinds = ("hang", "exit", "connect", "write", "start", "good")
    dead = {kind: pipeline.kill_orders(1, data=f'{{"do": "{kind}"}}')[0] for kind in kinds}
    with code(pipeline, HOSTILE), limit(pipeline, seconds=2):
        result = rehearse(pipeline, *[f"--id={event_id}" for event_id in dead.values()], code=1)
    assert {name: result[name] for name in ("now_processed", "not_rehearsed", "still_dead", "timed_out", "ended")} == {
        "now_processed": 1,
        "not_rehearsed": 3,
        "still_dead": 2,
        "timed_out": 1,
        "ended": 1,
    }
    tried = {each["kind"]: (each["what"], each["id"]) for each in result["tried"]}
    assert tried == {
        "network": ("127.0.0.1:9", dead["connect"]),
        "write": ("/tmp/rtp-rehearsal-must-not-write", dead["write"]),
        "process": ("true", dead["start"]),
    }
    assert result["emitted"] == {"order.priced": 1}


def test_an_async_processor_connects_only_with_the_network_allowed(pipeline: Pipeline) -> None:
    orders = pipeline.kill_orders(2)
    text = f"""
import asyncio
from rtp.runtime import processor

@processor("order.created")
async def price(event):
    _, writer = await asyncio.open_connection("127.0.0.1", {urlsplit(pipeline.url).port})
    writer.close()
    return {{"connected": True}}
"""
    ids = [f"--id={order}" for order in orders]
    with code(pipeline, text):
        result = rehearse(pipeline, *ids, code=1)
        assert (result["not_rehearsed"], [each["kind"] for each in result["tried"]]) == (2, ["network"])
        result = rehearse(pipeline, *ids, "--allow-network", code=0)
    assert (result["now_processed"], result["network"], result["tried"]) == (2, "allowed", [])


def test_variables_and_secrets_are_given_only_where_they_are_asked_for(pipeline: Pipeline) -> None:
    (order,) = pipeline.kill_orders(1)
    text = """
import os
from rtp.runtime import processor, secret

@processor("order.created")
def price(event):
    return {"url": os.environ["PARTNER_URL"], "length": len(secret("TOKEN"))}
"""
    (pipeline.project.root / ".env.local").write_text("TOKEN=abcd\n")
    with code(pipeline, text, 'environment = { PARTNER_URL = "https://partner.example" }\nsecrets = ["TOKEN"]\n'):
        result = rehearse(pipeline, "--id", order, code=1)
        assert [(e["kind"], e["what"]) for e in result["tried"]] == [("variable", "PARTNER_URL")]
        result = rehearse(pipeline, "--id", order, "--with-variables", code=1)
        assert [(e["kind"], e["what"]) for e in result["tried"]] == [("secret", "TOKEN")]
        result = rehearse(pipeline, "--id", order, "--with-variables", "--with-secrets", code=0)
        assert result["processed"][0]["result"] == {"url": "https://partner.example", "length": 4}
        # And secrets of another file, which has to be there
        (pipeline.project.root / "other.env").write_text("TOKEN=abcdefgh\n")
        given = ("--id", order, "--with-variables", "--secrets-file")
        assert rehearse(pipeline, *given, "other.env", code=0)["processed"][0]["result"]["length"] == 8
        error = rehearse(pipeline, *given, "nowhere.env", code=3)["error"]
        assert "nowhere.env" in error["message"] and error["hint"] == "Name a file with NAME=VALUE lines."
        # And a deploy gives them to its rehearsal where that is asked for
        asked = ("deploy", "--dry-run", "--json", "--rehearse-with")
        without = pipeline.project.rtp(*asked, "network", ok=False)
        assert without.lines[-1]["error"]["code"] == "rehearsal-failed" and without.lines[0]["network"] == "allowed"
        done = pipeline.project.rtp(*asked, "variables", "--rehearse-with", "secrets", ok=False)
        assert done.lines[0]["type"] == "rehearsal" and done.lines[0]["tried"] == []
        assert pipeline.project.rtp(*asked, "everything", ok=False).code == 2


def test_what_is_not_there_or_cannot_be_compared_is_said(pipeline: Pipeline) -> None:
    # What is named and is not there is no success, and the group, the type, the release or the id is named
    named = [("--type", f"kind-{uuid7()}"), ("--group", "0" * 8), ("--release", "0" * 12), ("--id", uuid7())]
    for option, value in named:
        error = rehearse(pipeline, option, value, code=4)["error"]
        assert error["code"] == "nothing-rehearsed" and value in error["message"] and "`rtp " in error["hint"]
    assert "`rtp triage`" in pipeline.project.rtp("rehearse", "--group", "0" * 8, ok=False).stderr
    assert rehearse(pipeline, "--release", "r999999", code=2)["error"]["message"] == "r999999 is not a known release."
    assert "no such event, so nothing was run" in pipeline.project.rtp("rehearse", "--until", "2001-01-01").stdout
    assert rehearse(pipeline, "--status", "processing", code=2)["error"]["code"] == "usage"
    # A text that is no event dies whatever the code is, and stops no deploy
    invalid = uuid7()
    pipeline._put(Output.QUEUE_URL, [{"id": invalid, "type": "order.created"}])
    until(lambda: pipeline.statuses([invalid])[invalid] == "dead")
    report = rehearse(pipeline, "--id", invalid, code=0)
    assert (report["events"], report["skipped"]) == (0, {"its text is no event, which no code changes": 1})
    (order,) = pipeline.kill_orders(1)
    with code(pipeline, "import nothing_of_this_name"):
        assert rehearse(pipeline, "--id", order, code=3)["error"]["code"] == "processors"


def test_messages_without_a_record_are_run_and_those_that_are_no_events_are_named(pipeline: Pipeline) -> None:
    # Given messages of another program in the dead-letter queue
    pipeline.fix()
    pipeline.fill_dlq(2)
    queues.send(pipeline.aws, pipeline.outputs[Output.DLQ_URL], [queues.Outgoing("no event", {})])
    (foreign,) = [message.message_id for message in pipeline.dlq if message.body == "no event"]
    before = state(pipeline)
    # When what is dead is rehearsed / Then their events are run, and what is none is named
    report = pipeline.project.rtp("rehearse", "--since", "1h", "--json", ok=False).json
    assert (report["messages"], report["no_events"], report["unseen"]) == (2, [foreign], 0)
    assert report["now_processed"] >= 2
    shown = pipeline.project.rtp("rehearse", "--since", "1h", ok=False).stdout
    assert "2 events of messages in the dead-letter queue that have no record" in shown
    assert f"messages that are no events: {foreign}" in shown
    # And they are in the queue as before
    assert until(lambda: state(pipeline)[2] == before[2])


@pytest.mark.long  # it waits half a minute for what is hidden
def test_what_another_receiver_hides_is_no_success(pipeline: Pipeline) -> None:
    # Given a message without a record, which another receiver hides
    pipeline.fix()
    begin, url = times.iso(times.now_ms()), pipeline.outputs[Output.DLQ_URL]
    pipeline.fill_dlq(1)
    (hidden,) = until(lambda: queues.receive(pipeline.aws, url, visibility_s=600))
    event = json.loads(hidden.body)["id"]
    try:
        # When it is asked for / Then it is not said to be absent
        error = rehearse(pipeline, "--id", event, code=ExitCode.TIMED_OUT)["error"]
        assert event in error["message"] and "could not be read" in error["message"]
        # And where it may be among the others, these are not all
        report = rehearse(pipeline, "--since", begin, code=ExitCode.TIMED_OUT)
        assert (report["events"], report["unseen"]) == (0, 1)
    finally:
        place = {"QueueUrl": url, "ReceiptHandle": hidden.receipt}
        pipeline.aws.call("sqs", "change_message_visibility", **place, VisibilityTimeout=0)


@pytest.mark.long
def test_each_option_selects_its_events_and_a_sample_is_said(pipeline: Pipeline) -> None:
    # Given dead events of two types and causes, and a processed one
    orders = pipeline.kill_orders(2)
    (rejected,) = pipeline.kill_orders(1, kind="bad", data='{"why": "no 17"}')
    pipeline.fix()
    begin = times.iso(times.now_ms())
    processed = pipeline.project.rtp("send", "--type", "order.created", "-d", "{}", "--json").json["id"]
    release = records_of(pipeline, processed)["release"]

    def selected(*args: str) -> tuple[int, ...]:
        found = pipeline.project.rtp("rehearse", *args, "--json", ok=False).json
        assert "error" not in found or found["error"]["code"] == "nothing-rehearsed"
        return tuple(found.get(name, 0) for name in ("now_processed", "still_dead", "same_result"))

    # Then each option selects its own
    until(lambda: selected("--type", "bad", "--since", "10m")[1] >= 1)  # the index of records may lag
    assert selected("--id", orders[0], "--id", rejected, "--id", processed) == (1, 1, 1)
    assert selected("--id", rejected, "--type", "order.created") == (0, 0, 0)
    assert selected("--id", orders[0], "--error", "KeyError") == (1, 0, 0)
    assert selected("--id", orders[0], "--error", "no 17") == (0, 0, 0)
    assert selected("--id", orders[0], "--id", processed, "--status", "processed") == (0, 0, 1)
    assert selected("--id", processed, "--release", release) == (0, 0, 1)
    assert selected("--id", processed, "--release", "0000") == (0, 0, 0)
    assert selected("--status", "processed", "--since", begin) == (0, 0, 1)
    # And a limit is said
    assert "the newest 1, more exist" in pipeline.project.rtp("rehearse", "--limit", "1", ok=False).stdout


def test_a_deploy_stops_before_anything_is_changed_where_a_dead_event_would_fail_again(pipeline: Pipeline) -> None:
    # Given a dead order
    pipeline.kill_orders(1)
    before = state(pipeline)
    # When code that fails is deployed / Then it stops
    stopped = pipeline.project.rtp("deploy", "--rehearse", "--yes", "--json", ok=False)
    assert stopped.code == 1
    report, error = stopped.lines
    assert (report["type"], error["error"]["code"]) == ("rehearsal", "rehearsal-failed")
    assert report["still_dead"] >= 1
    # When the code has no processor that fails / Then the deploy goes on
    with code(pipeline, "from rtp.runtime import processor\n"):
        shown = pipeline.project.rtp("deploy", "--rehearse", "--dry-run", "--json").lines
    assert [line["type"] for line in shown if line["type"] in ("rehearsal", "changeset")] == ["rehearsal", "changeset"]
    assert state(pipeline)[2] == before[2]
