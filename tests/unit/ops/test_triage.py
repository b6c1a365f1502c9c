"""Failures in groups: their states by release, when a mute ends, how queues move, and what changed before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from rtp.config import Overrides
from rtp.config.environments import resolve
from rtp.errors import AwsError, RtpError, UsageError
from rtp.ops.causes import Cause
from rtp.ops.triage import actions, failures, memory, motion, report, source
from rtp.ops.triage.failures import Failure
from rtp.ops.triage.memory import Memory, Note
from tests.unit.deploy.fakes import FakeAws

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.aws import Aws
    from rtp.config import Environment

NOW = 1_800_000_000_000
HOUR = 3_600_000


def failure(n: int = 1, *, ago_ms: int = 0, releases: tuple[str, ...] = ("r2",)) -> Failure:
    at = NOW - ago_ms
    return Failure(f"e{n}", at, "order", "dead", Cause("KeyError", "'a'", "p.py:1 f"), at, at, releases)


def state(known: Memory | None, *found: Failure, running: str = "r2") -> str:
    return memory.state(known, found, running=running, now=NOW)


def said(what: Any, **values: Any) -> Memory:
    return Memory("g", **{"said": what, "at": NOW - HOUR, **values})


def test_a_group_that_only_the_running_release_has_is_new() -> None:
    assert state(None, failure()) == "new"
    assert state(None, failure(releases=("r1", "r2"))) == "known"
    assert state(None, failure(releases=("r1",))) == "known"


def test_without_releases_a_group_of_the_last_day_is_new() -> None:
    assert state(None, failure(releases=()), running="") == "new"
    assert state(None, failure(ago_ms=25 * HOUR, releases=()), running="") == "known"


@pytest.mark.parametrize(
    ("releases", "ago_ms", "expected"),
    [
        (("r1",), 0, "resolved"),  # an instance of the old release still runs, or a canary
        (("r2",), 2 * HOUR, "resolved"),  # of before it was resolved
        (("r2",), 0, "regressed"),  # the release that should have the correction
        (("r1", "r3"), 0, "regressed"),  # a later one
        (("r3", "r1"), 0, "resolved"),  # back to the old one
        ((), 0, "regressed"),
        ((), 2 * HOUR, "resolved"),
    ],
)
def test_a_resolved_group_regresses_by_the_release_that_fails(
    releases: tuple[str, ...], ago_ms: int, expected: str
) -> None:
    resolved = said("resolved", release="r2", before=("r1",))
    assert state(resolved, failure(releases=releases, ago_ms=ago_ms), running="r9") == expected


def test_an_acknowledgement_ends_by_its_time_or_its_count() -> None:
    two = (failure(1), failure(2))
    assert state(said("acked"), *two) == "acked"
    assert state(said("acked", until=NOW + 1), *two) == "acked"
    assert state(said("acked", until=NOW), *two) == "known"
    assert state(said("acked", until_count=3), *two) == "acked"
    assert state(said("acked", until_count=2), *two) == "known"
    assert state(said("acked", until_count=2), failure(1, ago_ms=2 * HOUR), failure(2)) == "acked"


def test_a_mute_ends_at_ten_times_the_rate() -> None:
    ten = [failure(n) for n in range(10)]
    assert state(said("muted", rate=0.5), *ten) == "muted"
    assert state(said("muted", rate=0.5), *ten, failure(10)) == "known"
    assert state(said("muted", rate=2.0), *ten, failure(10)) == "muted"
    assert state(said("acked", rate=0.5), *ten, failure(10)) == "acked"


def test_a_note_alone_makes_a_group_known() -> None:
    assert state(Memory("g", notes=(Note(1, "me", "note", "x"),)), failure()) == "known"


class Table(FakeAws):
    """One item per key, written under its condition. lost: writes that happen and whose answer is an error."""

    def __init__(self, lost: int = 0, *, others: int = 0) -> None:
        super().__init__({"update_item": self._update, "batch_get_item": self._get})
        self.items: dict[str, dict[str, Any]] = {}
        self.lost, self.others = lost, others

    def _get(self, RequestItems: Any) -> dict[str, Any]:
        ((table, asked),) = RequestItems.items()
        return {"Responses": {table: [i for k in asked["Keys"] if (i := self.items.get(k["id"]["S"]))]}}

    def _update(self, **call: Any) -> dict[str, Any]:
        key, values, names = call["Key"]["id"]["S"], call["ExpressionAttributeValues"], call["ExpressionAttributeNames"]
        written = dict(call["Key"]) | {name: values[f":{n[1:]}"] for n, name in names.items() if n != "#version"}
        if self.others:  # somebody else writes first
            self.others -= 1
            there = self.items.get(key, {}).get("version", {"N": "0"})
            self.items[key] = written | {"notes": {"L": []}, "version": {"N": str(int(there["N"]) + 1)}}
        version = self.items.get(key, {}).get("version")
        if version != values.get(":version"):
            raise AwsError("refused", service_code="ConditionalCheckFailedException")
        self.items[key] = written
        if self.lost:
            self.lost -= 1
            return self._update(**call)  # botocore repeats the call
        return {}


def change(aws: FakeAws, new: Memory, what: str = "acked") -> Memory:
    return memory.change(cast("Aws", aws), "t", "g", new, Note(NOW, "me", what, "why"))


@pytest.mark.parametrize("lost", [0, 1])
def test_what_is_said_is_kept_even_if_the_answer_is_lost(lost: int) -> None:
    table = Table(lost)
    change(table, said("acked"))
    change(table, said("resolved", release="r2", before=("r1",)), "resolved")
    change(table, Memory("g"), "note")
    kept = memory.read(cast("Aws", table), "t", ["g", "other"]).by_group["g"]
    assert (kept.said, kept.release, kept.before, kept.version) == ("resolved", "r2", ("r1",), 3)
    assert [note.what for note in kept.notes] == ["acked", "resolved", "note"]


def test_what_somebody_else_says_meanwhile_is_not_lost() -> None:
    with pytest.raises(RtpError, match="being changed by others"):
        change(Table(others=9), said("acked"))


def test_no_event_can_have_the_id_of_such_an_item() -> None:
    table = Table()
    change(table, said("acked"))
    (key,) = table.items
    assert len(key) > 128
    assert not {"status", "status_shard"} & table.items[key].keys()  # so no index and no list has it


HUGE = {"N": "9" * 38}
NOTE = {"at": {"N": "1"}, "by": {"S": "x"}, "what": {"S": "note"}, "text": {"S": "y"}}
FORGED: list[dict[str, Any]] = [
    {"said": {"S": "x"}}, {"said": {"L": []}}, {"at": {"S": "y"}}, {"at": HUGE}, {"at": {"N": "1E+100"}},
    {"until": {"N": "-1"}}, {"until_count": {"N": "1.5"}}, {"rate": HUGE}, {"release": {"N": "1"}},
    {"before": {"NULL": True}}, {"before": {"L": [{"N": "1"}]}}, {"version": HUGE}, {"version": {"N": "0"}},
    {"notes": {"N": "1"}}, {"notes": {"L": [{"S": "x"}]}}, {"notes": {"L": [{"M": NOTE | {"at": HUGE}}]}},
    {"notes": {"L": [{"M": NOTE | {"text": {"B": b"x"}}}]}}, {"group": {"S": "another"}}, {"group": {"BOOL": True}},
]  # fmt: skip


@pytest.mark.parametrize("forged", FORGED, ids=range(len(FORGED)))
def test_an_item_that_rtp_did_not_write_is_left_out_and_named(forged: dict[str, Any]) -> None:
    table = Table()
    change(table, said("acked"))
    (key,) = table.items
    good = dict(table.items[key])
    table.items = {key: good | forged}
    found = memory.read(cast("Aws", table), "t", ["g"])
    assert found.by_group == {} and list(found.unreadable) == ["g"]
    with pytest.raises(RtpError, match="cannot be read") as caught:
        change(table, said("muted"))
    assert caught.value.code == "unreadable-note" and key in caught.value.hint and table.items == {key: good | forged}


def test_of_an_item_with_many_long_notes_the_last_are_shown_in_part() -> None:
    table = Table()
    change(table, said("acked"))
    (item,) = table.items.values()
    item["notes"] = {"L": [{"M": NOTE | {"text": {"S": f"{n} {'x' * 3000}"}}} for n in range(100)]}
    notes = memory.read(cast("Aws", table), "t", ["g"]).by_group["g"].notes
    assert len(notes) == 20 and notes[-1].text.startswith("99 x") and {len(note.text) for note in notes} == {500}


def test_a_failure_begins_with_the_first_attempt_that_failed_of_it() -> None:
    attempts = [
        {"n": 1, "at": 10, "outcome": "failed", "release": "r1", "error": {"type": "Timeout", "message": "t"}},
        {"n": 2, "at": 20, "outcome": "interrupted"},
        {"n": 3, "at": 30, "outcome": "failed", "release": "r1", "error": {"type": "KeyError", "message": "'a'"}},
        {"n": 4, "at": 40, "outcome": "failed", "release": "r2", "error": {"type": "KeyError", "message": "'a'"}},
    ]
    error = {"type": "KeyError", "message": "'a'", "signature": "KeyError: *", "at": "p.py:1 f"}
    record = {"id": "e", "timestamp": 5, "type": "order", "attempts": attempts, "attempted_at": 41, "error": error}
    found = failures.of_record(record, "dead")
    assert found is not None
    assert (found.first, found.last, found.releases) == (30, 41, ("r1", "r2"))
    assert failures.of_record({"id": "e", "timestamp": 5}, "dead") is None
    bare = failures.of_record({"id": "e", "timestamp": 5, "error": error, "attempts": "x", "release": "r7"}, "dead")
    assert bare is not None and (bare.first, bare.releases) == (5, ("r7",))


@pytest.mark.parametrize(
    ("depth", "values", "per_minute", "empty_s"),
    [
        (100, [], None, None),
        (100, [100.0], None, None),
        (100, [100.0] * 10, 0.0, None),
        (103, [100.0] * 10, 0.0, None),
        (200, [100.0] * 10, 10.0, None),
        (100, [200.0] * 10, -10.0, 600),
        (0, [50.0] * 10, -5.0, 0),
    ],
)
def test_a_queue_grows_or_drains(
    depth: int, values: list[float], per_minute: float | None, empty_s: int | None
) -> None:
    found = motion.of("q", depth, values)
    assert (found.per_minute, found.empty_s) == (per_minute, empty_s)


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    (tmp_path / "rtp.toml").write_text('project = "shop"\n[processors]\npath = "app"\n')
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("".join(f"line {n}\n" for n in range(1, 6)))
    for name in ("secret.txt", ".env.local"):
        (tmp_path / name).write_text("no\n" * 9)
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path)
    return resolve(Overrides(), environ={})


def test_the_line_that_failed_stands_between_its_neighbours(environment: Environment) -> None:
    found = source.lines(environment, "app/__init__.py:2 f")
    assert [(each.number, each.text, each.fails) for each in found] == [
        (1, "line 1", False),
        (2, "line 2", True),
        (3, "line 3", False),
        (4, "line 4", False),
    ]


@pytest.mark.parametrize(
    "at",
    [
        "",
        "nonsense",
        "app/__init__.py:99 f",
        "app/none.py:1 f",
        "../../etc/passwd:1 f",
        "/etc/passwd:1 f",
        "a\x00b:1 f",
        f"app/__init__.py:{'9' * 5000} f",
        f"{'x' * 5000}:1 f",
        "app/__init__.py:\u0661 f",
        "loop/x.py:1 f",
        ".env.local:1 f",
        "secret.txt:1 f",
    ],
    ids=range(13),
)
def test_a_line_that_this_folder_does_not_have_is_left_out(environment: Environment, at: str) -> None:
    assert source.lines(environment, at) == []


def test_without_processors_there_is_no_source(environment: Environment) -> None:
    assert source.lines(replace(environment, processors=None), "app/__init__.py:2 f") == []


@pytest.mark.parametrize(
    ("text", "end"), [("2h", actions.End(ms=2 * HOUR)), ("100x", actions.End(count=100)), ("1x", actions.End(count=1))]
)
def test_an_end_is_a_time_or_a_count(text: str, end: actions.End) -> None:
    assert actions.end(text) == end


@pytest.mark.parametrize("text", ["", "0x", "x", "-1x", "soon", "1e9x", "99999999999x"])
def test_what_is_no_end_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="neither a time from now nor"):
        actions.end(text)


class Metrics(FakeAws):
    """CloudWatch with one value of each metric; it refuses a whole request for a dimension without a value."""

    def __init__(self) -> None:
        super().__init__({"get_metric_data": self._data})

    def _data(self, MetricDataQueries: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        values = [d["Value"] for q in MetricDataQueries for d in q["MetricStat"]["Metric"]["Dimensions"]]
        if not all(values):
            raise AwsError("The parameter Value must be at least 1 long", service_code="ValidationError")
        return {"MetricDataResults": [{"Id": q["Id"], "Timestamps": [], "Values": [3.0]} for q in MetricDataQueries]}


def test_the_share_of_a_type_is_read_also_where_a_failed_start_which_has_no_type_is_a_group(
    environment: Environment,
) -> None:
    def ended(*kinds: str) -> dict[str, float]:
        return report._ended(cast("Aws", Metrics()), environment, kinds, now=NOW)

    assert ended("", "order", "", "paid") == {"order": 6.0, "paid": 6.0}
    assert ended("") == {}
