"""The tree of a trace, and documents that want to break it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.ops.telemetry.segments import MOST, trace
from rtp.text import json_values
from tests.unit.watch import documents as d


def names(tree: Any) -> Any:
    return [(s.name, names(s.segments)) for s in tree]


def test_documents_in_any_order_become_one_tree() -> None:
    tree = trace(d.ID, d.documents())

    assert names(tree.segments) == [
        (
            "shop-dev-api/prod",
            [
                (
                    "shop-dev-processor",
                    [
                        (
                            "shop-dev-processor",
                            [
                                (
                                    "event",
                                    [
                                        ("DynamoDB", []),
                                        ("test.fail", []),
                                        ("shop-dev-queue", [("shop-dev-worker", [])]),
                                    ],
                                )
                            ],
                        )
                    ],
                )
            ],
        )
    ]
    assert (tree.duration_ms, tree.fault, tree.error, tree.partial) == (500.0, True, False, True)
    assert (tree.event_id, tree.start) == (d.EVENT, "2026-11-23T15:40:15.000Z")


def test_the_json_of_a_segment_is_pinned() -> None:
    document = json.loads(json_values.dumps(trace(d.ID, d.documents())))

    root = document["segments"][0]
    assert {"id", "start", "duration_ms", "error", "fault", "event_id", "segments"} <= document.keys()
    assert {"name", "origin", "start", "end", "error", "fault", "segments"} <= root.keys()
    assert (root["origin"], root["start"], root["end"]) == (
        "AWS::ApiGateway::Stage",
        "2026-11-23T15:40:15.000Z",
        "2026-11-23T15:40:15.300Z",
    )
    assert root["segments"][0]["request_id"] == d.REQUEST


def test_exceptions_keep_type_message_and_frames() -> None:
    problems = [p for _, s in trace(d.ID, d.documents()).walk() for p in s.exceptions]

    assert [(p.type, p.message, p.stack) for p in problems] == [("ValueError", "no total", ("p.py:7 in f",))]


def test_the_final_document_replaces_the_one_of_the_running_segment() -> None:
    running = d.segment("api", 0, None)
    done = d.segment("api", 0, 2)

    for order in ([running, done], [done, running]):
        tree = trace(d.ID, [json.dumps(o) for o in order])
        assert (tree.partial, tree.segments[0].duration_ms) == (False, 2000.0)


def test_a_segment_whose_parent_is_not_here_is_a_root() -> None:
    tree = trace(d.ID, [json.dumps(d.segment("lost", 1, 2, parent_id="ffffffffffffffff"))])

    assert names(tree.segments) == [("lost", [])]


def test_segments_that_are_parents_of_each_other_are_shown_once() -> None:
    one, two = d.segment("one", 0, 1), d.segment("two", 0, 1)
    one["parent_id"], two["parent_id"] = two["id"], one["id"]
    own = d.segment("own", 0, 1)
    own["parent_id"] = own["id"]

    tree = trace(d.ID, [json.dumps(x) for x in (one, two, own)])

    assert sorted(s.name for _, s in tree.walk()) == ["one", "own", "two"]


def test_a_document_that_is_too_deep_is_cut() -> None:
    text = json.dumps(d.segment("deep", 0, 1))
    for _ in range(300):
        text = json.dumps(d.segment("level", 0, 1))[:-1] + f', "subsegments": [{text}]}}'

    tree = trace(d.ID, [text.replace('"level"', '"l"')])

    assert len(tree.walk()) < 100


def test_a_trace_with_very_many_segments_is_read_in_part() -> None:
    many = d.segment("root", 0, 1) | {
        "subsegments": [d.segment(f"s{n:06d}", 0, 1, id=f"{n:016x}") for n in range(MOST + 10)]
    }

    assert len(trace(d.ID, [json.dumps(many)]).walk()) == MOST


def test_no_documents_are_an_empty_trace() -> None:
    tree = trace(d.ID, ["", "null", "[]", "{", '{"start_time": true}'])

    assert (tree.segments, tree.duration_ms) == ((), 0.0)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = (
    "id", "name", "start_time", "end_time", "parent_id", "subsegments", "cause", "annotations", "http", "aws",
    "in_progress", "error", "metadata", "origin", "namespace",
)  # fmt: skip


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), anything, max_size=8), max_size=4))
def test_nothing_in_a_document_breaks_the_tree(document: list[dict[str, Any]]) -> None:
    based = [{"id": "a", "start_time": 1.5, "end_time": 2.5} | m for m in document]

    assert json_values.dumps(trace(d.ID, [json.dumps(b) for b in based]))


@pytest.mark.parametrize("cause", ["0123456789abcdef", {"exceptions": "x"}, {"exceptions": [1, {}]}, [], 7])
def test_a_cause_of_any_shape_is_read(cause: Any) -> None:
    tree = trace(d.ID, [json.dumps(d.segment("s", 0, 1, cause=cause))])

    assert len(tree.segments) == 1
