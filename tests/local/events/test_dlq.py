"""`rtp dlq` on the real engine: inspect consumes nothing, redrive loses nothing, and every step can be undone."""

from __future__ import annotations

import json
import random
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest

from rtp.aws import leases
from rtp.contract import Output
from rtp.ops.events.identity import uuid7
from rtp.runtime.wire import uuid7_timestamp
from tests.local.conftest import is_count, suite_weather
from tests.local.events.conftest import post, stored, wait_for

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.local.events.conftest import Pipeline
# How soon messages are visible that a command has released; under weather the answer of a receive may be lost, and its
# messages stay hidden for as long as the receive asked for.
VISIBLE_S = 60 if suite_weather() else 10


def _begun(pipeline: Pipeline, run: subprocess.Popen[str]) -> Callable[[], bool]:
    """Whether a command has received messages, or has ended."""
    return lambda: any(not m.visible for m in pipeline.dlq) or run.poll() is not None


def test_an_empty_queue_is_reported_as_empty(pipeline: Pipeline) -> None:
    assert pipeline.project.rtp("dlq", "inspect").stdout == "realtime-processor-local-dlq is empty\n"
    assert pipeline.project.rtp("dlq", "inspect", "--json").json == {
        "version": 1,
        "queue": "realtime-processor-local-dlq",
        "depth": 0,
        "messages": [],
        "groups": [],
        "unseen": 0,
        "deadlines": None,
    }


def test_failed_and_rejected_events_are_shown_with_their_errors(pipeline: Pipeline) -> None:
    # Given two orders that died of an error, and one event that its processor rejected
    orders = pipeline.kill_orders(2)
    (rejected,) = pipeline.kill_orders(1, kind="bad", data='{"why": "no 17"}')
    # When
    found = pipeline.project.rtp("dlq", "inspect", "--json").json
    # Then each has its reason, its attempts and its trace, and like ones are one group
    by_id = {m["id"]: m for m in found["messages"]}
    assert set(by_id) == {*orders, rejected}
    assert is_count(found["depth"], 3)
    assert by_id[orders[0]]["error"] == {"type": "KeyError", "message": "'total'", "at": "processors.py:13 price"}
    assert is_count(by_id[orders[0]]["attempts"], 2)
    assert by_id[rejected]["error"] == {"type": "Reject", "message": "no 17", "at": "processors.py:19 bad"}
    assert is_count(by_id[rejected]["attempts"], 1)
    assert by_id[rejected]["trace_id"].startswith("1-")
    assert json.loads(by_id[rejected]["body"])["data"] == {"why": "no 17"}
    assert all(map(is_count, [g["count"] for g in found["groups"]], [2, 1]))
    # and the text shows the groups first, with the newest message beside one whose values are masked
    shown = pipeline.project.rtp("dlq", "inspect").stdout
    assert shown.startswith("dlq local: ")
    assert shown.index("Why") < shown.index("Reject: no *") < shown.index("Messages") < shown.index(rejected)
    assert re.search(r"KeyError: \* +'total'", shown)


def test_filters_choose_and_one_message_is_shown_whole(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.kill_orders(2)
    (rejected,) = pipeline.kill_orders(1, kind="bad", data='{"why": "unique words"}')

    def ids(*options: str) -> list[str]:
        return [m["id"] for m in pipeline.project.rtp("dlq", "inspect", "--json", *options).json["messages"]]

    for options in (("--type", "bad"), ("--error", "reject"), ("--grep", "unique w.rds"), ("--id", rejected)):
        shown_ids = ids(*options)
        assert set(shown_ids) == {rejected} and is_count(len(shown_ids), 1), options
    counted = pipeline.project.rtp("dlq", "inspect", "--by", "type", "--json").json["counts"]
    assert {each["value"] for each in counted} == {"bad", "order.created"}
    assert is_count(pipeline.project.rtp("dlq", "inspect", "--type", "bad", "--count", "--json").json["total"], 1)
    assert ids("--id", "nobody") == []
    assert is_count(len(ids("--since", "1h")), 3)
    assert len(ids("--limit", "2")) == 2
    # One message: a send whose answer was lost has left two of the event.
    shown = pipeline.project.rtp("dlq", "inspect", "--id", rejected, "--limit", "1").stdout
    assert '"why": "unique words"' in shown
    assert f"rtp show {rejected}" in shown
    export = tmp_path / "dead.ndjson"
    pipeline.project.rtp("dlq", "inspect", "--export", export)
    assert is_count(len(export.read_text().splitlines()), 3)
    assert export.stat().st_mode & 0o777 == 0o600
    # a missing folder is reported before anything is read
    missing = pipeline.project.rtp("dlq", "inspect", "--export", tmp_path / "no" / "dead.ndjson", ok=False)
    assert missing.code == 1 and f"cannot be written: There is no folder {tmp_path / 'no'}" in missing.stderr


def test_inspections_change_nothing_even_when_interrupted(pipeline: Pipeline) -> None:
    # Given enough messages that an inspection takes a while
    pipeline.fill_dlq(600)
    before = sorted(m.body for m in pipeline.dlq)
    # When the queue is inspected repeatedly, and some inspections are interrupted
    interruption = 0
    for n in range(40):
        if n >= 5 and interruption:
            break
        wait_for(lambda: all(m.visible for m in pipeline.dlq), seconds=VISIBLE_S)
        if n % 3 == 0:
            done = pipeline.project.rtp("dlq", "inspect", "--json", ok=False)
            assert done.code in ((0, 6) if suite_weather() else (0,)), done.stderr  # 6: lost answers hide messages
            continue
        look = pipeline.project.start("dlq", "inspect", "--query", "depth")  # little: nobody reads the pipe yet
        wait_for(_begun(pipeline, look))
        look.send_signal(signal.SIGINT)
        _, stderr = look.communicate(timeout=180)
        interruption += look.returncode == 130
        assert "Traceback" not in stderr
        # Then every message is there, and visible at once
    wait_for(lambda: all(m.visible for m in pipeline.dlq), seconds=VISIBLE_S)
    assert sorted(m.body for m in pipeline.dlq) == before
    assert interruption > 0
    assert max(m.receives for m in pipeline.dlq) > 2  # the inspections did happen
    pipeline.aws.call("sqs", "purge_queue", QueueUrl=pipeline.outputs[Output.DLQ_URL])


def test_a_redrive_without_a_fix_stops_after_the_canary(pipeline: Pipeline) -> None:
    pipeline.kill_orders(10)

    done = pipeline.project.rtp("dlq", "redrive", "--all", "--json", ok=False)

    assert done.code == 1
    assert done.json["redriven"] == 1
    assert done.json["canary"]["status"] == "dead"
    assert "KeyError" in done.json["stopped"]
    wait_for(lambda: is_count(len(pipeline.dlq), 10))
    wait_for(lambda: all(m.visible for m in pipeline.dlq), seconds=VISIBLE_S)


def test_a_redrive_without_a_canary_moves_each_message_once(pipeline: Pipeline) -> None:
    pipeline.kill_orders(30)

    done = pipeline.project.rtp(
        "dlq", "redrive", "--all", "--no-canary", "--wait", "--timeout", "280", "--json", ok=False, timeout=300
    )

    assert done.code == 1
    assert is_count(done.json["redriven"], 30)
    assert set(done.json["outcomes"]) == {"dead"} and is_count(done.json["outcomes"]["dead"], 30), done.stdout
    wait_for(lambda: is_count(len(pipeline.dlq), 30))


def test_after_the_fix_every_order_is_processed(pipeline: Pipeline) -> None:
    orders = pipeline.kill_orders(25)
    (rejected,) = pipeline.kill_orders(1, kind="bad")
    pipeline.fix()

    done = pipeline.project.rtp("dlq", "redrive", "--type", "order.created", "--wait", "--json", timeout=300).json

    assert is_count(done["redriven"], 25) and is_count(done["outcomes"]["processed"], 25)
    assert (set(done["outcomes"]), done["pending"]) == ({"processed"}, 0)
    assert set(pipeline.statuses(orders).values()) == {"processed"}
    assert {json.loads(m.body)["id"] for m in pipeline.dlq} == {rejected} and is_count(len(pipeline.dlq), 1)
    wait_for(lambda: pipeline.dlq[0].visible, seconds=VISIBLE_S)
    record = pipeline.project.rtp("show", orders[0], "--json").json["record"]
    assert record["source"] == "redrive"


def test_a_dry_run_lists_the_messages_and_moves_nothing(pipeline: Pipeline) -> None:
    orders = pipeline.kill_orders(3)

    done = pipeline.project.rtp("dlq", "redrive", "--all", "--dry-run", "--json").json

    assert done["dry_run"]
    assert {m["id"] for m in done["messages"]} == set(orders)
    assert is_count(len(pipeline.dlq), 3)
    wait_for(lambda: all(m.visible for m in pipeline.dlq), seconds=VISIBLE_S)


def test_a_missing_id_is_not_found(pipeline: Pipeline) -> None:
    for command in (["redrive"], ["redrive", "--dry-run"], ["redrive", "--edit"], ["purge", "--yes"]):
        done = pipeline.project.rtp("dlq", *command, "--id", "nope", ok=False)
        assert done.code == 4 and "dead-letter queue" in done.stdout + done.stderr, command


def test_confirm_with_another_stacks_name_is_refused(pipeline: Pipeline) -> None:
    for command in (["redrive", "--all"], ["purge", "--all", "--yes"], ["undo", "--yes"]):
        done = pipeline.project.rtp("dlq", *command, "--confirm", "shop-prod", ok=False)
        assert done.code in (4, 5), command  # 4: there is nothing to undo yet
    assert "'shop-prod' is not 'realtime-processor-local'" in (
        pipeline.project.rtp("dlq", "redrive", "--all", "--confirm", "shop-prod", ok=False).stderr
    )


def test_messages_must_be_selected(pipeline: Pipeline) -> None:
    for command in ("redrive", "purge"):
        done = pipeline.project.rtp("dlq", command, "--yes", ok=False)
        assert (done.code, "Select messages" in done.stderr) == (2, True)
        done = pipeline.project.rtp("dlq", command, "--yes", "--all", "--id", "x", ok=False)
        assert done.code == 2


def test_events_are_edited_before_they_are_redriven(pipeline: Pipeline) -> None:
    # Given a rejected event, and an editor that gives it another type
    (event_id,) = pipeline.kill_orders(1, kind="bad")
    pipeline.fix()
    editor = pipeline.project.root / "editor.sh"
    editor.write_text('#!/bin/sh\nsed -i \'s/"bad"/"order.created"/\' "$1"\n')
    editor.chmod(0o700)
    # When
    done = pipeline.project.rtp(
        "dlq", "redrive", "--id", event_id, "--edit", "--wait", "--json", env={"EDITOR": str(editor)}
    )
    # Then
    assert done.json["outcomes"] == {"processed": 1}
    assert pipeline.project.rtp("show", event_id, "--json").json["record"]["type"] == "order.created"


@pytest.mark.long  # tests/reliability/test_repairs.py kills at steps
def test_killing_the_command_at_any_moment_loses_nothing(pipeline: Pipeline) -> None:
    # Given many dead orders and a fixed processor
    orders = set(pipeline.kill_orders(150))
    pipeline.fix()
    over: list[str] = []
    dice = random.Random(7)  # noqa: S311 - moments of a kill
    # When redrives are killed at random moments
    for _ in range(6):
        there = len(pipeline.dlq)
        run = pipeline.project.start("dlq", "redrive", "--all", "--no-canary", "--rate", "60")
        wait_for(lambda: len(pipeline.dlq) < there or run.poll() is not None)  # noqa: B023 - called at once
        time.sleep(dice.random() * 0.6)
        run.kill()
        said = run.communicate()
        over += ["".join(said)] if run.returncode != -signal.SIGKILL else []
        # Then each order is in one of the queues or has its record
        somewhere = {json.loads(m.body)["id"] for m in (*pipeline.dlq, *pipeline.queue)}
        assert all(i in somewhere or status == "processed" for i, status in pipeline.statuses(orders).items())
    assert len(over) < 6, over
    # and one more run finishes what the dead ones left, though they hid some messages
    pipeline.project.rtp("dlq", "redrive", "--all", "--no-canary", timeout=300)
    wait_for(lambda: not pipeline.dlq and not pipeline.queue)
    assert set(pipeline.statuses(orders).values()) == {"processed"}


def test_a_second_operator_is_refused_and_sees_who_holds_the_lease(pipeline: Pipeline) -> None:
    pipeline.kill_orders(20)
    pipeline.fix()
    first = pipeline.project.start("dlq", "redrive", "--all", "--no-canary", "--rate", "0.5")
    wait_for(lambda: len(pipeline.dlq) < 20)

    second = pipeline.project.rtp("dlq", "redrive", "--all", "--json", ok=False)
    looking = pipeline.project.rtp("dlq", "inspect", ok=False)

    assert second.code == 5
    # What the other one hides is not seen; in the weather it may have moved all that it hid before the counts agree.
    assert looking.code in ((6,) if suite_weather() is None else (0, 6)), looking.stderr
    assert second.json["error"]["code"] == "locked"
    assert f"process {first.pid}" in second.json["error"]["message"]
    assert "dlq redrive" in looking.stderr
    first.send_signal(signal.SIGINT)
    stdout, stderr = first.communicate(timeout=180)
    assert first.returncode == 130, stderr
    assert "redriven" in stdout
    wait_for(lambda: all(m.visible for m in pipeline.dlq), seconds=VISIBLE_S)
    assert pipeline.project.rtp("dlq", "redrive", "--all", "--wait", "--json").json["pending"] == 0


def test_the_message_of_an_asynchronous_invocation_is_redriven_like_the_rest(pipeline: Pipeline) -> None:
    # Given an asynchronous call of the processor that failed for good
    event = {"type": "order.created", "id": uuid7(), "data": {"n": 1.5}}
    name = pipeline.outputs[Output.PROCESSOR]
    pipeline.aws.call("lambda", "invoke", FunctionName=name, InvocationType="Event", Payload=json.dumps(event))
    wait_for(lambda: is_count(len(pipeline.dlq), 1))
    found = pipeline.project.rtp("dlq", "inspect", "--json").json["messages"][0]
    assert (found["id"], found["error"]["type"]) == (event["id"], "KeyError")
    assert is_count(found["attempts"], 3)
    assert "requestPayload" in found["body"]
    # When it is redriven after the fix
    pipeline.fix()
    done = pipeline.project.rtp("dlq", "redrive", "--all", "--wait", "--json").json
    # Then it is the same event, processed
    assert done["outcomes"] == {"processed": 1}
    assert pipeline.project.rtp("show", str(event["id"]), "--json").json["record"]["data"] == {"n": 1.5}


def test_a_purge_asks_backs_up_and_can_be_undone(pipeline: Pipeline) -> None:
    pipeline.kill_orders(12)
    before = sorted((m.body, json.dumps(m.attributes, sort_keys=True)) for m in pipeline.dlq)

    refused = pipeline.project.rtp("dlq", "purge", "--all", ok=False)
    there = pipeline.dlq
    assert refused.code == 5 and {m.body for m in there} == {body for body, _ in before}
    assert is_count(len(there), len(before))

    done = pipeline.project.rtp("dlq", "purge", "--all", "--yes", "--json").json
    assert is_count(done["deleted"], len(before)) and (done["kept"], pipeline.dlq) == (0, [])

    undone = pipeline.project.rtp("dlq", "undo", "--yes", "--json").json
    assert undone["what"] == "purge" and is_count(undone["back"], len(before))
    restored = sorted((m.body, json.dumps(m.attributes, sort_keys=True)) for m in pipeline.dlq)
    assert set(restored) == set(before) and is_count(len(restored), len(before))
    again = pipeline.project.rtp("dlq", "undo", "--yes", "--json").json
    assert (again["back"], len(pipeline.dlq)) == (0, len(restored))


@pytest.mark.long
def test_a_dead_event_that_a_client_repeats_leaves_one_message_until_that_is_purged(pipeline: Pipeline) -> None:
    # Given an event that died of its request
    event_id = uuid7()
    event = json.dumps({"id": event_id, "type": "order.created", "data": {"n": 1}}).encode()

    def attempts() -> int:
        found = pipeline.project.rtp("show", event_id, "--json", ok=False).json
        return int(found["record"]["attempt_count"]) if "record" in found else 0

    def dies() -> None:
        before = attempts()
        assert post(pipeline, "process", event)[0] == 202
        wait_for(lambda: is_count(attempts(), before + 3))  # one by the API, two by the worker
        wait_for(lambda: not pipeline.queue)

    dies()
    # When a client repeats it, and it dies again
    dies()
    # Then it has one message, whose end is known
    assert is_count(len(pipeline.dlq), 1)
    assert pipeline.project.rtp("status", "--json").json["deadlines"]["first"] == "raw"
    soon = pipeline.project.rtp("status", "--check", "--lose-within", "15d", ok=False)
    assert (soon.code, "the first raw event of a dead event is lost in" in soon.stdout) == (1, True)
    # and after a purge and its undo, and after a purge, the same
    pipeline.project.rtp("dlq", "purge", "--all", "--yes")
    pipeline.project.rtp("dlq", "undo", "--yes")
    dies()
    assert is_count(len(pipeline.dlq), 1)
    pipeline.project.rtp("dlq", "purge", "--all", "--yes")
    dies()
    assert is_count(len(pipeline.dlq), 1)


def test_undo_restores_redriven_messages_that_still_wait(pipeline: Pipeline) -> None:
    # Given a pipeline whose worker is disabled
    orders = pipeline.kill_orders(8)
    with pipeline.worker_disabled():
        # When
        pipeline.project.rtp("dlq", "redrive", "--all", "--no-canary")
        assert is_count(len(pipeline.queue), 8) and pipeline.dlq == []
        undone = pipeline.project.rtp("dlq", "undo", "--json").json
    # Then
    assert is_count(undone["back"], 8), undone
    assert {json.loads(m.body)["id"] for m in pipeline.dlq} == set(orders)
    assert is_count(len(pipeline.queue), 0)  # in bad weather: second copies, whose sends lost their answers


def test_a_protected_environment_requires_its_name(pipeline: Pipeline) -> None:
    # Given
    pipeline.kill_orders(2)
    toml = pipeline.project.root / "rtp.toml"
    before = toml.read_text()
    toml.write_text(before + "\n[env.local]\nprotected = true\n")
    try:
        # When there is no terminal, --yes is not enough
        for command in ("redrive", "purge"):
            for given in (["--yes"], ["--confirm", "another"]):
                done = pipeline.project.rtp("dlq", command, "--all", *given, "--json", ok=False)
                # Then nothing is moved
                assert (done.code, done.json["error"]["code"]) == (5, "refused")
        assert is_count(len(pipeline.dlq), 2)
        # until the name is given
        name = "realtime-processor-local"
        assert is_count(pipeline.project.rtp("dlq", "purge", "--all", "--confirm", name, "--json").json["deleted"], 2)
    finally:
        toml.write_text(before)


def test_hostile_bodies_and_errors_never_reach_the_terminal(pipeline: Pipeline) -> None:
    # Given a rejection whose words would clear the screen and set the title
    words = "\\u001b[2J\\u001b]0;owned\\u0007[bold red]x[/]\\r\\u202e"
    (event_id,) = pipeline.kill_orders(1, kind="bad", data=f'{{"why": "{words}"}}')

    for arguments in (("dlq", "inspect"), ("dlq", "inspect", "--id", event_id), ("show", event_id)):
        shown = pipeline.project.rtp(*arguments).stdout
        assert not set("\x1b\x07\r\u202e") & set(shown)
        assert "[bold red]x[/]" in shown
    body = pipeline.project.rtp("dlq", "inspect", "--json").json["messages"][0]["body"]
    assert json.loads(body)["data"]["why"] == json.loads(f'"{words}"')


def test_messages_that_are_not_events_are_shown_too(pipeline: Pipeline) -> None:
    # Given messages that another sender put into the queue
    aws, outputs = pipeline.aws, pipeline.outputs
    for body in ("not json", "[]", '{"type": "a"}', '{"type": "a", "data": {}, "id": "mine"}'):
        aws.call("sqs", "send_message", QueueUrl=outputs["QueueUrl"], MessageBody=body)
    wait_for(lambda: is_count(len({m.body for m in pipeline.dlq}), 4))

    found = pipeline.project.rtp("dlq", "inspect", "--json").json

    assert {m["error"]["type"] for m in found["messages"]} == {"InvalidEvent"}
    assert sorted(m["body"] for m in found["messages"])[0] == "[]"
    assert all(m["id"] for m in found["messages"])
    assert uuid7_timestamp(found["messages"][0]["id"]) is None
    assert is_count(len(stored(pipeline.project, outputs["DlqUrl"])), 4)


def test_a_planted_lease_never_blocks_for_ever(pipeline: Pipeline) -> None:
    # Given a dead event, and a lease of another machine that would end in thirty years
    pipeline.kill_orders(1)
    aws, table = pipeline.project.aws, pipeline.project.outputs[Output.TABLE]
    now = int(time.time() * 1000)
    far = {
        **leases.key("dlq"),
        **{name: {"S": "x"} for name in ("holder", "user", "host", "what")},
        **{"pid": {"N": "1"}, "since": {"N": str(now)}, "until": {"N": str(now + 10**12)}},
    }
    aws.call("dynamodb", "put_item", TableName=table, Item=far)
    # When, Then
    assert pipeline.project.rtp("dlq", "redrive", "--all", "--no-canary", "--json").json["redriven"] == 1
    # And one that rtp did not write is named with the command that deletes it, and hides no message
    aws.call("dynamodb", "put_item", TableName=table, Item=far | {"until": {"S": "tomorrow"}})
    refused = pipeline.project.rtp("dlq", "redrive", "--all", "--json", ok=False)
    assert refused.code == 5 and refused.json["error"]["code"] == "unreadable-lease"
    assert "aws dynamodb delete-item" in refused.json["error"]["hint"]
    pipeline.project.rtp("dlq", "inspect")
    aws.call("dynamodb", "delete_item", TableName=table, Key=leases.key("dlq"))
