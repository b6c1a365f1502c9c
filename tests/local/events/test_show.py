"""`rtp show` and `rtp records`: every accepted event is found in full, whatever it contains."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtp.ops.events.identity import uuid7
from tests.local.conftest import is_count
from tests.local.events.conftest import eventually, post, wait_for
from tests.local.watch.conftest import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.events.conftest import Pipeline


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def test_a_processed_event_is_shown_in_full(pipeline: Pipeline) -> None:
    pipeline.fix()
    sent = pipeline.project.rtp("send", "--type", "order.created", "-d", '{"total": 1.50}', "--json").json

    def is_known() -> bool:  # log lines and traces come late
        story = pipeline.project.rtp("show", sent["id"], "--json").json
        stories.append(story)
        return bool(story["trace"]) and {"received", "processed"} <= {line["step"] for line in story["logs"]}

    stories: list[dict[str, Any]] = []
    wait_for(is_known)
    story = stories[-1]

    assert list(story) == ["version", "record", "attempts", "logs", "trace", "dlq"]
    assert story["record"]["result"] == {"priced": True}
    assert {a["outcome"] for a in story["attempts"]} == {"processed"} and is_count(len(story["attempts"]), 1)
    assert story["trace"]["id"] == sent["trace_id"]
    assert story["dlq"] is None

    def missing() -> list[str]:
        shown = pipeline.project.rtp("show", sent["id"]).stdout
        parts = ("processed", "Data", "Result", "Attempts", "Waterfall", "event received")
        return [part for part in parts if part not in shown]

    wait_for(lambda: not missing())


def test_a_dead_event_is_shown_with_its_message_and_the_next_command(pipeline: Pipeline) -> None:
    (event_id,) = pipeline.kill_orders(1)

    story = pipeline.project.rtp("show", event_id, "--json").json

    assert story["record"]["status"] == "dead"
    assert {a["error"]["type"] for a in story["attempts"]} == {"KeyError"} and is_count(len(story["attempts"]), 2)
    assert story["dlq"]["error"] == {"type": "KeyError", "message": "'total'", "at": "processors.py:13 price"}
    assert f"rtp dlq redrive --id={event_id}" in pipeline.project.rtp("show", event_id).stdout
    wait_for(lambda: all(m.visible for m in pipeline.dlq))
    assert is_count(len(pipeline.dlq), 1)


def test_a_message_that_is_not_an_event_is_found_by_its_id(pipeline: Pipeline) -> None:
    status, answer = post(pipeline, "events", b'{"type": "x", "data": {}, "id": "only-an-id"}')
    if status == 202:  # the door may leave it to the worker
        request = json.loads(answer)["id"]
        wait_for(lambda: is_count(len(pipeline.dlq), 1))
        found = pipeline.project.rtp("dlq", "inspect", "--json").json["messages"][0]
        assert found["id"] in (request, "only-an-id")
        assert pipeline.project.rtp("show", found["id"], "--json").json["dlq"]["message_id"] == found["message_id"]
    else:
        assert status == 400


def test_large_data_is_read_from_s3(pipeline: Pipeline) -> None:
    event = {"type": "note", "data": {"x": "é" * 120_000}}

    sent = pipeline.project.rtp("send", "-", "--json", stdin=json.dumps(event, ensure_ascii=False)).json

    record = pipeline.project.rtp("show", sent["id"], "--json").json["record"]
    assert "data_key" in record  # it was too large for the item
    assert record["data"] == event["data"]

    def listed() -> dict[str, Any]:  # the index of records may lag
        (one,) = pipeline.project.rtp("records", "--type", "note", "--limit", "1", "--json").json["records"]
        return one if one["id"] == sent["id"] else {}

    assert until(listed)["data"] == event["data"]
    shown = pipeline.project.rtp("show", sent["id"]).stdout
    assert "more characters" in shown
    assert len(shown) < 20_000


@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(values=st.lists(VALUES, min_size=20, max_size=40))
def test_data_of_any_shape_comes_back_equal(pipeline: Pipeline, values: list[object]) -> None:
    # Given events with every kind of text, number and nesting
    events = [{"id": uuid7(), "type": "note", "data": {"v": value}} for value in values]
    # When they are sent and read back
    done = pipeline.project.rtp("send", "-", "--json", stdin="\n".join(map(json.dumps, events)), ok=False)
    assert done.json["by_status"] == {"processed": len(events)}, done.stdout
    options = ("--type", "note", "--limit", str(len(events)), "--json")

    def listed() -> dict[str, Any]:
        return {r["id"]: r["data"] for r in pipeline.project.rtp("records", *options).json["records"]}

    # Then nothing has changed
    expected = {str(e["id"]): e["data"] for e in events}
    assert eventually(listed, expected) == expected


HOSTILE = [
    "\x1b[2J\x1b[1;1H",
    "\x1b]0;owned\x07",
    "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;ZWNobw==\x07",
    "\x1bP1$r\x1b\\",
    "\x9b2J\x9d0;x\x9c",
    "over\rwritten",
    "back\b\b\b\bspace",
    "\u202egnp.exe",
    "\u2066a\u2069\u200b\ufeff",
    "[bold red]markup[/bold red]",
    "<script>alert(1)</script>",
    "[link=http://x]x[/link]",
    "\x00\x01\x7f",
    "\u2028line\u2029",
]


def test_hostile_text_never_controls_the_terminal(pipeline: Pipeline, tmp_path: Path) -> None:
    # Given an event with hostile text as type, as key and as value
    event = {"id": uuid7(), "type": "".join(HOSTILE)[:128], "data": {f"k{text}": text for text in HOSTILE}}
    pipeline.project.rtp("send", "-", "--json", stdin=json.dumps(event))
    # When it is shown
    shown = pipeline.project.rtp("show", str(event["id"])).stdout
    wait_for(lambda: "\\x1b[2J" in pipeline.project.rtp("records", "--limit", "3").stdout)
    listed = pipeline.project.rtp("records", "--limit", "3").stdout
    assert listed.startswith("records local: 3, more exist, since ")
    # Then no control character, no bidirectional mark, and no markup that took effect
    unsafe = {c for text in HOSTILE for c in text if not c.isprintable()} - {"\n"}
    assert len(unsafe) > 15
    assert not unsafe & set(shown + listed)
    assert "[bold red]markup[/bold red]" in shown
    assert "\\x1b[2J" in listed
    # nor on a page
    page = tmp_path / "story.html"
    pipeline.project.rtp("show", str(event["id"]), "--html", page)
    assert "&lt;script&gt;alert(1)" in page.read_text()
    assert page.stat().st_mode & 0o777 == 0o600
    assert "<script" not in page.read_text()
    assert not unsafe & set(page.read_text())
    # and as JSON it is as it was
    record = pipeline.project.rtp("show", str(event["id"]), "--json").json["record"]
    assert (record["data"], record["type"]) == (event["data"], event["type"])


def test_every_accepted_event_is_found(pipeline: Pipeline) -> None:
    # Given a load of good and bad events by both doors
    ids = []
    for via in ("api", "events"):
        kinds = ["note", "bad", "order.created"] * 4
        events = [{"id": uuid7(), "type": kind, "data": {}} for kind in kinds]
        done = pipeline.project.rtp(
            "send", "-", "--via", via, "--json", stdin="\n".join(map(json.dumps, events)), ok=False
        )
        assert "failed" not in done.json["by_status"], done.json
        ids += [str(e["id"]) for e in events]
    # When each is asked for once it has come to its end. The message of a lost attempt is hidden for six times the
    # function's timeout, a minute
    wait_for(lambda: all(s in ("processed", "dead") for s in pipeline.statuses(ids).values()))
    wait_for(lambda: is_count(len(pipeline.dlq), 16))
    # Then each has a record, log lines, and its message where it is dead
    for event_id in ids[::5]:
        story: dict[str, Any] = {}
        wait_for(partial(_shown, pipeline, event_id, story))
        assert (story["dlq"] is not None) == (story["record"]["status"] == "dead")


def _shown(pipeline: Pipeline, event_id: str, story: dict[str, Any]) -> bool:
    """Fill the story of an event. Returns whether it has log lines, which may come later."""
    story.update(pipeline.project.rtp("show", event_id, "--json").json)
    return bool(story["logs"])


def test_records_are_listed_by_status_type_and_time(pipeline: Pipeline) -> None:
    kind = f"kind-{uuid7()}"
    events = [{"id": f"{kind}-{n}", "timestamp": 1_700_000_000_000 + n, "type": kind, "data": {}} for n in range(12)]
    other = [{"id": uuid7(), "type": "note", "data": {}} for _ in range(30)]
    stdin = "\n".join(json.dumps(e) for e in events + other)
    pipeline.project.rtp("send", "-", "--via", "sqs", "--wait", stdin=stdin)

    def ids(*options: str) -> list[str]:
        found = pipeline.project.rtp("records", "--json", "--type", kind, *options).json["records"]
        return [r["id"] for r in found]

    everything = [f"{kind}-{n}" for n in reversed(range(12))]
    assert eventually(lambda: ids("--since", "2023-11-01T00:00:00Z"), everything) == everything
    assert ids("--since", "2023-11-01T00:00:00Z", "--limit", "5") == everything[:5]
    assert ids("--since", "1700000000004", "--until", "1700000000006") == everything[5:8]
    assert ids("--since", "2023-11-01T00:00:00Z", "--status", "dead") == []
    assert ids("--since", "1h") == []
    # They are counted, and counted by a field, whatever the limit is
    of_kind = ("records", "--type", kind, "--since", "2023-11-01T00:00:00Z", "--limit", "1", "--json")
    assert pipeline.project.rtp(*of_kind, "--count").json["total"] == 12
    counted = pipeline.project.rtp(*of_kind, "--by", "status").json
    assert [(value["value"], value["count"]) for value in counted["counts"]] == [("processed", 12)]
    # The last deploy is a time too, and times are read and shown in the zone of the machine or in UTC
    deployed = pipeline.project.rtp("status", "--json").json["stack"]["deployed"]
    since = datetime.fromisoformat(deployed).astimezone(timezone(timedelta(hours=9)))
    for zone, options in ((f"{since:%H:%M} JST", ()), (f"{since.astimezone(UTC):%H:%M} UTC", ("--utc",))):
        shown = pipeline.project.rtp("records", "--since", "deploy", *options, env={"TZ": "Asia/Tokyo"}).stdout
        assert zone in shown.split("\n")[0]
    listed = pipeline.project.rtp("records", "--type", "nothing").stdout
    assert re.fullmatch(r"records local: 0, type nothing, since .+\n", listed)
