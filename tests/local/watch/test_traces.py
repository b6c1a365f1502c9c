"""`rtp traces` on the engine: the real SDK's segments, across the queue, with the log lines in place."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from rtp.errors import ExitCode
from tests.local.conftest import is_count
from tests.local.watch.conftest import Story, followed, on_terminal, send_many, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.conftest import Project


def names(segments: list[dict[str, Any]]) -> set[str]:
    return {s["name"] for s in segments} | {n for s in segments for n in names(s["segments"])}


def test_the_list_has_the_promised_shape(deployed: Project, story: Story) -> None:
    found = until(
        lambda: [t for t in deployed.rtp("traces", "--json").json["traces"] if t["event_id"] == story.good.id]
    )

    assert found[0]["id"] == story.good.trace_id
    assert {"id", "start", "duration_ms", "error", "fault", "event_id"} <= found[0].keys()
    assert (found[0]["error"], found[0]["fault"], found[0]["http_status"]) == (False, False, 200)


def test_filters(deployed: Project, story: Story) -> None:
    def ids(*options: str) -> set[str]:
        return {t["id"] for t in deployed.rtp("traces", "--json", "--limit", "1000", *options).json["traces"]}

    everything = ids()
    assert {story.good.trace_id, story.dead.trace_id, story.rejected.trace_id} <= everything
    errors = ids("--errors")
    assert story.dead.trace_id in errors
    assert story.good.trace_id not in errors
    assert ids("--slow", "600000") == set()
    assert ids("--filter-expression", f'annotation.event_id = "{story.good.id}"') == {story.good.trace_id}


def test_an_invalid_expression_is_reported_with_the_fix(deployed: Project) -> None:
    done = deployed.rtp("traces", "--filter-expression", "nonsense (", ok=False)

    assert done.code == ExitCode.USAGE
    assert "--filter-expression" in done.stderr


def test_a_trace_has_the_api_the_queue_and_every_attempt(deployed: Project, story: Story) -> None:
    def look() -> dict[str, Any]:
        seen: dict[str, Any] = deployed.rtp("traces", "show", story.dead.trace_id, "--json").json
        return seen if "realtime-processor-local-worker" in names(seen["segments"]) else {}

    found = until(look)

    root = found["segments"][0]
    assert {"name", "origin", "start", "end", "error", "fault", "segments"} <= root.keys()
    assert root["origin"] == "AWS::ApiGateway::Stage"
    assert found["event_id"] == story.dead.id
    exceptions = [e for s in walk(found["segments"]) for e in s["exceptions"]]
    # A call of AWS whose answer is lost is repeated, and the repetition may be refused.
    assert {e["message"] for e in exceptions if not e["message"].startswith("An error occurred (")} == {"it is broken"}
    assert is_count(len(exceptions), 2)  # max_receive_count


def walk(segments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [x for s in segments for x in (s, *walk(s["segments"]))]


def test_an_event_id_leads_to_the_same_trace(deployed: Project, story: Story) -> None:
    by_event = deployed.rtp("traces", "show", story.good.id, "--json").json

    assert by_event["id"] == story.good.trace_id


def test_the_waterfall_fits_and_shows_exceptions_and_lines_in_place(deployed: Project, story: Story) -> None:
    for columns in (60, 80, 160):
        text = re.sub(
            r"\x1b\[[0-9;]*m", "", on_terminal(deployed, "traces", "show", story.dead.id, columns=columns).text
        )
        bars = [row for row in text.splitlines() if "█" in row]
        assert len(bars) >= 4
        assert all(len(row) <= columns for row in bars)
        assert "✗ RuntimeError: it is broken" in text
        assert "· " in text


def test_the_page_is_self_contained(deployed: Project, story: Story, tmp_path: Path) -> None:
    file = tmp_path / "trace.html"

    done = deployed.rtp("traces", "show", story.dead.id, "--html", file)

    page = file.read_text()
    assert str(file) in done.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    assert "it is broken" in page
    assert not re.search(r"(src|href)=|<script", page)


def test_a_page_that_cannot_be_written_is_reported(deployed: Project, story: Story, tmp_path: Path) -> None:
    done = deployed.rtp("traces", "show", story.good.id, "--html", tmp_path / "no" / "x.html", ok=False)

    assert done.code == ExitCode.FAILED
    assert "cannot be written" in done.stderr
    # and before anything is looked for
    for command in (("traces", "show", "nobody"), ("show", "nobody")):
        done = deployed.rtp(*command, "--html", tmp_path, ok=False)
        assert done.code == ExitCode.FAILED
        assert f"{tmp_path} cannot be written: Is a directory" in done.stderr


def test_an_unknown_id_is_not_found(deployed: Project) -> None:
    for unknown in ("1-00000000-000000000000000000000000", "no-such-event"):
        done = deployed.rtp("traces", "show", unknown, ok=False)
        assert done.code == ExitCode.NOT_FOUND
        assert unknown in done.stderr


def test_an_impossible_id_is_reported(deployed: Project) -> None:
    for impossible in ("", "x" * 4000):
        assert deployed.rtp("traces", "show", impossible, ok=False).code == ExitCode.USAGE


def test_options_before_show_are_refused(deployed: Project) -> None:
    assert deployed.rtp("traces", "--env", "prod", "show", "x", ok=False).code == ExitCode.USAGE


def test_following_shows_a_trace_again_only_when_it_changes(deployed: Project) -> None:
    # Given a follower / When events are sent
    tail = deployed.start("traces", "--follow", "--since", "1m", "--json")
    sent = set(send_many(deployed, 3))
    seen, talk = followed(tail, lambda seen: sent <= {line["event_id"] for line in seen})
    # Then no row is shown twice
    rows = [json.dumps({name: value for name, value in line.items() if name != "updated"}) for line in seen]
    assert len(rows) == len(set(rows))
    assert all(line["type"] == "trace" for line in seen)
    assert tail.returncode == ExitCode.INTERRUPTED
    assert "Traceback" not in talk
