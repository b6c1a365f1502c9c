"""Which records, messages, lines and traces an option --release selects."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from rtp.errors import UsageError
from rtp.ops import releases
from rtp.ops.events.record_filters import RecordFilters
from rtp.ops.telemetry.logfilter import Filter, LogQuery
from rtp.ops.telemetry.loglines import parse
from tests.unit.deploy.bucket import Bucket

ONE, OTHER = "0123456789ab", "ba9876543210"


@pytest.mark.parametrize("text", [ONE, "0123", " 0123456789AB "])
def test_a_release_is_its_hash_or_the_beginning(text: str) -> None:
    part = releases.parsed(text)
    assert releases.matches(ONE, part)
    assert not releases.matches(OTHER, part)
    assert not releases.matches(None, part)


@pytest.mark.parametrize("text", ["", "012", "v1.2.3", "0123456789abc"])
def test_what_is_no_hash_is_refused_with_the_place_that_shows_it(text: str) -> None:
    with pytest.raises(UsageError, match="is not a release") as refused:
        releases.parsed(text)
    assert "rtp status" in str(refused.value.hint)


def test_a_number_stands_for_the_hash_and_is_read_once() -> None:
    loads: list[int] = []

    def load() -> releases.Names:
        loads.append(1)
        return {ONE: releases.Name(42, "a" * 40 + "-dirty"), OTHER: releases.Name(43)}

    releases.use(load)
    assert loads == []
    assert releases.parsed(" R42 ") == ONE and releases.label(ONE) == "r42"
    assert releases.described(ONE) == f"r42 ({ONE}, commit aaaaaaaaaa-dirty)"
    assert releases.described(OTHER) == f"r43 ({OTHER})"
    assert (releases.label(""), releases.label("fff"), releases.described("fff")) == ("", "fff", "fff")
    with pytest.raises(UsageError, match="r7 is not a known release"):
        releases.parsed("r7")
    assert loads == [1]
    releases.use(dict)
    assert releases.label(ONE) == ONE


def test_the_names_of_the_newest_releases_are_kept_and_what_is_damaged_is_none() -> None:
    bucket = Bucket()
    aws: Any = bucket.aws()
    environment: Any = SimpleNamespace(project="shop", name="dev")
    assert releases.read(aws, environment) == {}
    every = {f"{n:012x}": releases.Name(n, "c" * 40) for n in range(1, 1500)}
    releases.write(aws, environment, every)
    found = releases.read(aws, environment)
    assert len(found) == 1000 and max(each.number for each in found.values()) == 1499
    (key,) = bucket.objects
    for body in (
        b"[]",
        b"{",
        b'{"x": {"number": 1}}',
        b'{"%s": {"number": 0}}',
        b'{"%s": {"number": 1, "commit": "x"}}',
    ):
        bucket.objects[key] = (body.replace(b"%s", ONE.encode()), "", 0.0)
        assert releases.read(aws, environment) == {}, body


def test_records_are_selected_by_the_release_of_their_last_attempt() -> None:
    filters = RecordFilters(release="0123")
    assert filters.match({"id": "a", "release": ONE})
    assert not filters.match({"id": "a", "release": OTHER, "attempts": [{"release": ONE}]})
    assert not filters.match({"id": "a"})  # of before releases were noted


def test_lines_are_selected_by_their_own_release() -> None:
    line = json.dumps({"level": "INFO", "step": "received", "message": "m", "release": ONE, "event_id": "e"})
    event = parse(line, at=1_800_000_000_000, function="worker")
    assert event.release == ONE
    assert "release" not in event.fields
    assert Filter(LogQuery(since=0, release=ONE)).matches(event)
    assert not Filter(LogQuery(since=0, release=OTHER)).matches(event)


def test_x_ray_is_asked_for_the_whole_hash_or_for_its_beginning() -> None:
    assert releases.annotated(ONE) == f'annotation.release = "{ONE}"'
    assert releases.annotated("0123") == 'annotation.release BEGINSWITH "0123"'
