"""Trace headers, the store, and trees put together from what arrives in any order."""

from __future__ import annotations

import itertools
import json
import os
import random
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.local.tracing import header, tree
from rtp.local.tracing.api import summary
from rtp.local.tracing.daemon import Daemon
from rtp.local.tracing.senders import Senders
from rtp.local.tracing.store import InvalidSegmentError, TraceStore
from rtp.local.tracing.tree import walk
from tests import users
from tests.users import as_root

if TYPE_CHECKING:
    from pathlib import Path

ROOT = "1-5759e988-bd862e3fe1be46a994272793"


def document(segment_id: str, name: str, parent: str | None = None, **more: Any) -> dict[str, Any]:
    body = {"trace_id": ROOT, "id": segment_id, "name": name, "start_time": 10.0, "end_time": 11.0, **more}
    return body | {"parent_id": parent} if parent else body


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=1", header.TraceHeader(ROOT, "53995c3f42cd8ad8", True)),
        (f"Sampled=0; Root={ROOT.upper()}", header.TraceHeader(ROOT, None, False)),
        (f"Root={ROOT};Lineage=1:a:0;Parent=short", header.TraceHeader(ROOT)),
        ("Root=1-2-3;Sampled=1", None),
        ("nonsense", None),
        ("", None),
        (None, None),
    ],
)
def test_a_header_is_read(text: str | None, expected: header.TraceHeader | None) -> None:
    assert header.parse(text) == expected


HUGE = "9" * 400


@pytest.mark.parametrize("start", [HUGE, "1e999999", "NaN", "-1", "[]", "true"])
def test_a_time_that_is_none_is_refused(start: str) -> None:
    text = f'{{"trace_id": "{ROOT}", "id": "a", "name": "n", "start_time": {start}}}'
    with pytest.raises(InvalidSegmentError):
        TraceStore().put(text)


def test_no_packet_ends_the_daemon() -> None:
    store = TraceStore()
    daemon = Daemon(store, 0)
    daemon.start()
    host, _, port = daemon.address.partition(":")
    head = '{"format": "json", "version": 1}\n'
    hostile = [
        f'{{"trace_id": "{ROOT}", "id": "a", "name": "n", "start_time": {HUGE}}}',
        f'{{"trace_id": "{ROOT}", "id": "b", "name": "n", "start_time": NaN}}',
        f'{{"trace_id": "{ROOT}", "id": "c", "name": "n", "start_time": 1, "end_time": {HUGE}}}',
        "[" * 60_000,
        "7",
        "",
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for text in hostile:
            sender.sendto((head + text).encode(), (host, int(port)))
        sender.sendto(b"\xff\n\xff", (host, int(port)))
        sender.sendto((head + json.dumps(document("d" * 16, "last"))).encode(), (host, int(port)))
        deadline = time.monotonic() + 10
        while not (trace := store.get(ROOT)) or trace.segments[-1]["name"] != "last":
            assert time.monotonic() < deadline, "the daemon takes no packets any more"
            time.sleep(0.01)
    daemon.close()


@as_root
def test_a_segment_of_another_user_s_process_is_dropped() -> None:
    store = TraceStore()
    daemon = Daemon(store, 0)
    daemon.start()
    host, _, port = daemon.address.partition(":")
    packet = '{"format": "json", "version": 1}\n' + json.dumps(document("a" * 16, "forged"))

    def forge(source: str, stay: bool) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((source, 0))
            sender.sendto(packet.encode(), (host, int(port)))
            if stay:
                time.sleep(0.3)
        return True

    # Given packets of another user, whose sockets stay or are closed at once, and from another address of this machine
    for source, stay in (("127.0.0.1", True), ("127.0.0.1", False), ("127.0.0.2", True), ("", True)):
        assert users.as_user(users.NOBODY, lambda source=source, stay=stay: forge(source, stay))  # type: ignore[misc]
    # When a process of this user sends one
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(packet.replace("forged", "own").encode(), (host, int(port)))
        deadline = time.monotonic() + 10
        while not (trace := store.get(ROOT)):
            assert time.monotonic() < deadline, "an own segment is dropped"
            time.sleep(0.01)
    # Then that alone is there
    assert [segment["name"] for segment in trace.segments] == ["own"]
    daemon.close()


def test_whose_a_packet_is(tmp_path: Path) -> None:
    own, other = os.geteuid(), os.geteuid() + 1
    rows = [("0100007F:07D0", own), ("00000000:1F90", own), ("00000000:1F91", other), ("0100007F:1F92", own)]
    rows.append(("0200007F:1F92", other))
    table, absent = tmp_path / "udp", tmp_path / "udp6"
    table.write_text("sl local_address …\n" + "".join(f"1: {at} 0:0 07 0:0 0:0 0 {uid} 0 1\n" for at, uid in rows))
    now = [0.0]
    senders = Senders(2000, tables=(table, absent), clock=lambda: now[0])
    assert [senders.are_ours(port) for port in (0x1F90, 0x1F91, 0x1F92, 0x1F93)] == [True, False, False, False]
    table.write_text(table.read_text().replace("00000000:1F90", "00000000:1F94"))  # and then it is somebody else's
    assert senders.are_ours(0x1F94)
    now[0] += 2
    assert not senders.are_ours(0x1F90)
    # Where the system has no such table, nothing is known
    assert Senders(2000, tables=(absent,)).are_ours(1)


def test_a_header_is_written_as_it_was_read() -> None:
    child = header.new().child(header.new_id())
    assert header.parse(str(child)) == child


@given(st.text(max_size=200))
def test_no_header_breaks_it(text: str) -> None:
    header.parse(text)


PARTS = [
    document("a" * 16, "api"),
    document("b" * 16, "function", "a" * 16),
    document("c" * 16, "outer", "b" * 16, type="subsegment", annotations={"event_id": "7"}),
    document("d" * 16, "inner", "c" * 16, type="subsegment"),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_subsegments_find_their_parents_in_any_order(order: tuple[int, ...]) -> None:
    # Given
    store = TraceStore()
    for index in order:
        store.put(json.dumps(PARTS[index]))
    # When
    trace = store.get(ROOT)
    # Then
    assert trace is not None
    assert {s["name"] for s in trace.segments} == {"api", "function"}
    function = next(s for s in trace.segments if s["name"] == "function")
    assert [e["name"] for e in walk(function)] == ["function", "outer", "inner"]
    assert trace.entry.name == "api"
    assert summary(trace)["Annotations"]["event_id"][0]["AnnotationValue"] == {"StringValue": "7"}


def test_a_subsegment_without_a_parent_is_a_root() -> None:
    store = TraceStore()
    store.put(json.dumps(PARTS[3]))
    trace = store.get(ROOT)
    assert trace is not None
    assert [s["name"] for s in trace.segments] == ["inner"]


def test_a_circle_of_parents_is_no_tree_and_no_error() -> None:
    store = TraceStore()
    store.put(json.dumps(document("a" * 16, "one", "b" * 16, type="subsegment")))
    store.put(json.dumps(document("b" * 16, "two", "a" * 16, type="subsegment")))
    trace = store.get(ROOT)
    assert trace is not None
    assert trace.segments
    assert summary(trace)["Duration"] == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        json.dumps({**PARTS[0], "trace_id": "x"}),
        json.dumps({**PARTS[0], "id": 7}),
        json.dumps({**PARTS[0], "start_time": "now"}),
        json.dumps({**PARTS[0], "metadata": "x" * 70_000}),
    ],
)
def test_what_is_not_a_segment_is_refused(text: str) -> None:
    with pytest.raises(InvalidSegmentError):
        TraceStore().put(text)


def test_the_oldest_traces_are_dropped() -> None:
    store = TraceStore(max_traces=10)
    for n in range(25):
        store.add({**document("a" * 16, "x", start_time=float(n)), "trace_id": f"1-00000000-{n:024x}"})
    assert len(store.between(0, 100)) == 10
    assert store.between(0, 100)[0][1] == f"1-00000000-{24:024x}"
    assert store.get(f"1-00000000-{0:024x}") is None


def test_too_many_bytes_drop_the_oldest_traces_too() -> None:
    store = TraceStore(max_bytes=3000)
    for n in range(25):
        store.add({**document("a" * 16, "x" * 500), "trace_id": f"1-00000000-{n:024x}"})
    assert len(store.between(0, 100)) < 6


def test_traces_are_found_by_their_start_their_latest_change_or_their_end(tmp_path: Path) -> None:
    # Given a trace of long ago that a redrive has continued, also after the engine was restarted
    old = {**document("a" * 16, "api", start_time=1000.0), "end_time": 1001.0, "trace_id": ROOT}
    again = {**document("b" * 16, "worker", start_time=9000.0), "end_time": 9005.0, "trace_id": ROOT}
    store, loaded = TraceStore(), TraceStore()
    for part in (old, again):
        store.put(json.dumps(part))
    store.save(tmp_path / "traces")
    loaded.load(tmp_path / "traces")

    now = time.time()
    assert [len(store.between(a, b)) for a, b in ((999, 1001), (8999, 9006))] == [1, 0]
    assert store.between(8999, 9006, "Service") == [(9005.0, ROOT)]
    assert [key for _, key in store.between(now - 60, now + 60, "Event")] == [ROOT]
    assert loaded.between(8999, 9006, "Event") == [(9005.0, ROOT)]


def test_saved_traces_are_loaded(tmp_path: Path) -> None:
    store, other = TraceStore(), TraceStore()
    for part in PARTS:
        store.add(part)
    store.save(tmp_path / "traces")
    other.load(tmp_path / "traces")
    other.load(tmp_path / "nothing")
    assert other.get(ROOT).segments == store.get(ROOT).segments  # type: ignore[union-attr]


def test_traces_are_found_by_each_of_their_times_in_order() -> None:
    # Given traces that are updated, and of which the first are dropped
    draw, store = random.Random(3), TraceStore(max_traces=40)  # noqa: S311 - no secret
    model: dict[str, tuple[float, float, float]] = {}
    for n in range(600):
        number, start = draw.randrange(60), float(draw.randrange(1000))
        trace_id, end, received = f"1-{number:08x}-{number:024x}", start + draw.randrange(50), float(n + 1)
        segment = {"trace_id": trace_id, "id": f"{n:016x}", "name": "x", "start_time": start, "end_time": end}
        store.put(json.dumps(segment), received=received)
        old = model.get(trace_id, (start, received, end))
        model[trace_id] = (min(old[0], start), max(old[1], received), max(old[2], end))
        if len(model) > 40:
            del model[next(iter(model))]
    # Then
    for place, kind in enumerate(("TraceId", "Event", "Service")):
        expected = sorted(((times[place], i) for i, times in model.items() if 200 <= times[place] <= 500), reverse=True)
        assert store.between(200, 500, kind) == expected
    store.clear()
    assert store.between(0, 10_000) == []


def test_a_summary_has_the_path_to_the_exception_of_a_fault() -> None:
    exception = {"id": "e" * 16, "type": "KeyError", "message": "'total'"}
    inner = {"id": "c" * 16, "name": "event", "start_time": 10.0, "end_time": 11.0, "fault": True}
    inner["cause"] = {"exceptions": [exception]}
    trace = tree.Trace(ROOT, [document("b" * 16, "function", fault=True, subsegments=[inner])])

    answer = summary(trace)

    (cause,) = answer["FaultRootCauses"]
    path = cause["Services"][0]["EntityPath"]
    assert [entity["Name"] for entity in path] == ["function", "event"]
    assert path[-1]["Exceptions"] == [{"Name": "KeyError", "Message": "'total'"}]
    assert answer["ErrorRootCauses"] == []
