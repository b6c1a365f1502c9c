"""rtp report: an incident from the failures to the proof, on real commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.text import times
from tests.local.conftest import suite_weather
from tests.local.watch.conftest import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.events.conftest import Pipeline


def test_an_incident_is_reported_in_order_of_time(pipeline: Pipeline, tmp_path: Path) -> None:
    rtp = pipeline.project.rtp
    # Given failures that somebody noted, and that are repaired but for one
    pipeline.break_()
    ids = pipeline.kill_orders(3, data='{"card": "4111111111111111"}')
    pipeline.kill_orders(1, kind="bad", data='{"why": "4111111111111111"}')

    def group_of_orders() -> str:
        groups = rtp("triage", "--json", ok=False).json["groups"]
        of_orders = (g for g in groups if g["type"] == "order.created" and g["newest"]["id"] in ids)
        return next((g["id"] for g in of_orders if g["error"].startswith("KeyError") and g["dead"] >= 3), "")

    group = until(group_of_orders)
    rtp("triage", "note", group, "-m", "a | b")
    pipeline.fix()
    rtp("dlq", "redrive", "--group", group, "--no-canary", "--wait", "-m", "corrected")

    # When it is reported
    page = tmp_path / "incident.html"

    def report() -> dict[str, Any]:  # the index of records may lag
        found: dict[str, Any] = rtp("report", "--since", "1h", "--html", str(page), "--json").json
        here = next((g for g in found["groups"] if g["id"] == group), None)
        return found if here is not None and here["processed"] >= 3 and found["proof"]["dead"] else {}

    found = until(report)
    # Then the timeline has the deploy, the failures, the note and the repair, in that order
    at = [m["at"] for m in found["moments"]]
    assert at == sorted(at) and found["unread"] == []
    first = next(n for n, m in enumerate(found["moments"]) if m["kind"] == "failure" and m["group"] == group)
    (note,) = (n for n, m in enumerate(found["moments"]) if m["kind"] == "triage" and "a | b" in m["detail"])
    (repair,) = (n for n, m in enumerate(found["moments"]) if m["kind"] == "repair" and "corrected" in m["detail"])
    deploy = next(n for n, m in enumerate(found["moments"]) if (m["kind"], m["what"]) == ("release", "deploy"))
    assert deploy < note and deploy < repair
    if suite_weather() is None:  # which moves the clock of AWS's answers and not that of the functions
        assert deploy < first < note < repair
    # And the proof says what is processed and what is still dead
    assert found["proof"]["processed"] >= 3 and found["proof"]["dead"] >= 1
    # And neither page nor text has anything of the events' data
    text = rtp("report", "--since", "1h").stdout
    html = page.read_text()
    for shown in (text, html):
        assert "4111" not in shown and group in shown and "corrected" in shown and "KeyError" in shown
    assert text.startswith("# Incident of") and "a \\| b" in text and "http" not in html.split("</style>")[1]


def test_what_a_replay_repaired_and_what_only_the_logs_have_is_in_it(pipeline: Pipeline) -> None:
    rtp, begin = pipeline.project.rtp, times.iso(times.now_ms())
    # Given a dead event that a replay repairs, and an error that a processor logs of an event that it processes
    pipeline.break_()
    (order,) = pipeline.kill_orders(1)
    rtp("send", "--type", "noisy", "-d", '{"n": 4111111111111111}')
    pipeline.fix()
    rtp("replay", "--id", order, "-m", "corrected")
    until(lambda: pipeline.statuses([order])[order] == "processed")

    # When it is reported / Then both are causes of it
    def report() -> dict[str, Any]:  # log lines may come late
        found: dict[str, Any] = rtp("report", "--since", begin, "--json").json
        return found if {"order.created", "noisy"} <= {group["type"] for group in found["groups"]} else {}

    found = until(report)
    of_order, noisy = (next(g for g in found["groups"] if g["type"] == kind) for kind in ("order.created", "noisy"))
    assert (of_order["error"], of_order["events"], of_order["processed"], of_order["logged"]) == ("KeyError", 1, 1, 0)
    assert (noisy["error"], noisy["events"], noisy["logged"]) == ("LoggedError", 0, 1)
    # And the event alone counts in the proof
    assert (found["proof"]["events"], found["proof"]["processed"], found["logs"]["more"]) == (1, 1, False)
    text = rtp("report", "--since", begin).stdout
    assert "1 event failed; all are processed now; 1 error in the logs alone" in text and "error line" in text
    assert "4111" not in text


def test_a_time_that_ends_before_it_begins_is_refused(pipeline: Pipeline) -> None:
    assert pipeline.project.rtp("report", "--since", "1h", "--until", "2h", ok=False).code == 2
