"""A rehearsal of what is not there is an error that names it, and nothing dead is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rtp.commands.render import rehearse as render
from rtp.config import Overrides, environments
from rtp.errors import ExitCode, NotFoundError, RtpError
from rtp.ops import causes
from rtp.ops.events.record_filters import RecordFilters
from rtp.ops.rehearse import absent
from rtp.ops.rehearse.rehearse import Allowed, rehearse
from rtp.ops.rehearse.selection import Request, Seen, selected
from rtp.ops.work.pool import Stop
from rtp.terminal.draw import flat
from tests.unit.ops.fakes import DLQ, OUTPUTS, FakeAws, event

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.config import Environment
    from rtp.ops.rehearse.report import Rehearsal

CODE = """
from rtp.runtime import processor

@processor("order")
def price(event):
    return {}
"""
ERRORS = [{"type": name, "message": "'a'", "signature": f"{name}: *"} for name in ("KeyError", "TypeError")]
GROUPS = [causes.group("order", causes.of(error)).id for error in ERRORS]


class Index(FakeAws):
    """A table with an index by status of one shard."""

    def _query(self, ExpressionAttributeValues: dict[str, Any], **query: Any) -> dict[str, Any]:
        if ":s" not in ExpressionAttributeValues:
            return super()._query(ExpressionAttributeValues, **query)
        status = ExpressionAttributeValues[":s"]["S"].partition("#")[0]
        kind = ExpressionAttributeValues.get(":k")
        found = [i for i in self.items.values() if i["status"]["S"] == status and kind in (None, i["type"])]
        return {"Items": sorted(found, key=lambda item: -int(item["timestamp"]["N"]))}


@pytest.fixture
def aws() -> Index:
    """A dead event of each of two groups, and a processed one."""
    made = Index()
    for n, error in enumerate(ERRORS, 1):
        made.record(f"e{n}", n, status="dead", type="order", data={}, error=error, attempt_count=1)
    made.record("e3", 3, status="processed", type="order", data={}, result={}, attempt_count=1)
    return made


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    (tmp_path / "rtp.toml").write_text('[defaults]\nindex_shards = 1\n[processors]\npath = "processors.py"\n')
    (tmp_path / "processors.py").write_text(CODE)
    return environments.resolve(Overrides(), cwd=tmp_path, environ={})


def run(aws: Index, environment: Environment, stop: Stop | None = None, **request: Any) -> Rehearsal:
    made = Request(**{"limit": 10, **request})
    steps = rehearse(aws, OUTPUTS, environment, made, Allowed(), stop=stop or Stop())
    while True:
        try:
            next(steps)
        except StopIteration as end:
            report: Rehearsal = end.value
            return report


def message(seen: Seen | None = None, unseen: int = 0, **request: Any) -> RtpError:
    return absent.error(Request(limit=10, **request), seen or Seen(), unseen=unseen)


def test_a_group_without_events_is_an_error_that_names_it_and_the_groups_that_were_read(
    aws: Index, environment: Environment
) -> None:
    with pytest.raises(NotFoundError) as caught:
        run(aws, environment, filters=RecordFilters(group="0" * 8))
    error = caught.value
    assert (error.code, error.exit_code) == ("nothing-rehearsed", ExitCode.NOT_FOUND)
    assert error.message == "No dead event of the group 00000000 was found. Nothing was rehearsed."
    assert error.hint.startswith("`rtp triage` lists") and all(group in error.hint for group in GROUPS)


def test_what_is_named_and_is_not_there_is_an_error_and_nothing_dead_is_none(
    aws: Index, environment: Environment
) -> None:
    aws.items = {key: item for key, item in aws.items.items() if key[0] == "e3"}
    report = run(aws, environment)
    assert (report.events, report.is_good, report.missing) == (0, True, [])
    assert "no such event, so nothing was run" in "\n".join(flat(row) for row in render.rehearsal(report, "prod"))
    for named in ({"ids": ("e9",)}, {"ids": ("e3",), "kind": "other"}, {"filters": RecordFilters(release="abcd")}):
        with pytest.raises(NotFoundError, match="Nothing was rehearsed"):
            run(aws, environment, **named)


def test_a_run_that_was_stopped_before_its_first_event_says_that_and_no_more(
    aws: Index, environment: Environment
) -> None:
    stop = Stop()
    stop.drain.set()
    assert run(aws, environment, stop, ids=("e9",)).interrupted


def test_of_several_ids_those_that_are_neither_a_record_nor_a_message_are_named(
    aws: Index, environment: Environment
) -> None:
    aws.put(DLQ, event(7))
    report = run(aws, environment, ids=("e1", "e7", "e9", "e3"))
    assert (report.events, report.messages, report.missing) == (3, 1, ["e9"])
    assert "  not found: e9" in [flat(row) for row in render.rehearsal(report, "prod")]


def test_a_beginning_that_several_groups_have_is_refused_and_that_of_one_selects_it(aws: Index) -> None:
    def found(part: str, **request: Any) -> list[str]:
        made = Request(limit=10, filters=RecordFilters(group=part), **request)
        return [str(record["id"]) for record in selected(aws, OUTPUTS, made, shards=1)]

    assert found(GROUPS[0][:4]) == ["e1"]
    for request in ({}, {"ids": ("e1", "e2")}):
        with pytest.raises(NotFoundError, match=" stands for several groups of failures: ") as caught:
            found("", **request)
        assert all(group in caught.value.message for group in GROUPS)


@pytest.mark.parametrize(
    ("request_", "which", "fix"),
    [
        ({"ids": ("e9",)}, "No event with the id e9 was found", "`rtp show e9`"),
        ({"kind": "x"}, "No dead event of the type x was found", "`rtp records --type=x`"),
        ({"filters": RecordFilters(release="abcd")}, "No dead event of the release abcd was found", "rollback --list"),
        ({"filters": RecordFilters(error="x")}, "No dead event with the error 'x' was found", "`rtp triage`"),
        ({"statuses": ("processed",), "since": 1}, "No processed event of this time was found", "`rtp records`"),
        (
            {"statuses": ("dead", "failed"), "kind": "x", "filters": RecordFilters(group="abcd")},
            "No dead or failed event of the group abcd, of the type x was found",
            "`rtp triage`",
        ),
    ],
    ids=range(6),
)
def test_the_error_names_each_condition_and_where_its_right_name_is(
    request_: dict[str, Any], which: str, fix: str
) -> None:
    error = message(**request_)
    assert error.message == f"{which}. Nothing was rehearsed." and fix in error.hint
    assert not absent.is_proof(Request(limit=1, **request_))


def test_what_nothing_dead_proves_and_what_hidden_messages_do_not() -> None:
    assert absent.is_proof(Request(limit=1)) and absent.is_proof(Request(limit=1, statuses=("failed",), since=5))
    error, hidden = message(unseen=2, ids=("e9",)), "2 messages of the dead-letter queue could not be read"
    assert error.message == f"No event with the id e9 was found, and {hidden}."
    assert error.exit_code == ExitCode.TIMED_OUT and "Repeat the command later" in error.hint
    assert "which the other options leave out" in message(Seen(ids={"e9"}), ids=("e9",), kind="x").hint
