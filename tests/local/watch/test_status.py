"""`rtp status` and `rtp alarms` on the engine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from rtp.contract import Alarm
from rtp.errors import ExitCode
from tests.local.watch.conftest import followed, on_terminal, until

if TYPE_CHECKING:
    from tests.local.conftest import Project

NAME = "realtime-processor-local"


@pytest.mark.usefixtures("story")
def test_status_has_the_promised_shape_and_reads_every_part(deployed: Project) -> None:
    # Given an event that is dead / When the metrics and the index have it
    def arrived() -> dict[str, Any]:
        s: dict[str, Any] = deployed.rtp("status", "--json").json
        hour, causes = s["last_hour"], [cause["error"] for cause in s["dead_by_error"]]
        return s if hour["dead"] and hour["processed"] and any("it is broken" in cause for cause in causes) else {}

    found = until(arrived)
    # Then everything is told
    assert {"env", "stack", "endpoints", "queues", "alarms", "healthy"} <= found.keys()
    assert (found["env"], found["stack"]["name"]) == ("local", NAME)
    assert found["stack"]["state"].endswith("_COMPLETE")
    assert found["queues"]["dlq"]["depth"] >= 1
    always = set(Alarm) - {Alarm.NOTIFIER_ERRORS}  # without recipients there is no notifier
    assert {a["name"] for a in found["alarms"]} == {f"{NAME}-{a.value}" for a in always}
    assert [s["state"] for s in found["event_sources"]] == ["Enabled"]
    assert [f["state"] for f in found["functions"]] == ["Active", "Active"]
    assert found["last_hour"]["p95_ms"] > 0
    assert not found["healthy"]
    assert found["unread"] == []


@pytest.mark.usefixtures("story")
def test_check_fails_while_there_is_a_problem(deployed: Project) -> None:
    done = deployed.rtp("status", "--check", ok=False)

    assert done.code == ExitCode.FAILED
    assert re.search(
        r"✗ (alarm dlq-messages: )?\d+ messages? in the DLQ(, limit 1)?; see `rtp dlq inspect`", done.stdout
    )


@pytest.mark.usefixtures("story")
def test_watch_redraws_in_place_until_ctrl_c(deployed: Project) -> None:
    twice = ("not healthy", 2)
    screen = on_terminal(deployed, "status", "--watch", "--interval", "0.5", interrupt_after=twice, rows=40)

    assert screen.code == ExitCode.INTERRUPTED
    assert "rtp dlq inspect" in screen.text
    assert "\x1b[1A" in screen.text  # up again, to where it began
    assert "Traceback" not in screen.text


def test_watch_as_json_is_a_stream(deployed: Project) -> None:
    watch = deployed.start("status", "--watch", "--interval", "0.5", "--json")

    seen, _ = followed(watch, lambda seen: len(seen) >= 2, after_s=0)

    assert all(s["type"] == "status" and s["env"] == "local" for s in seen)


def test_watch_and_check_exclude_each_other(deployed: Project) -> None:
    assert deployed.rtp("status", "--watch", "--check", ok=False).code == ExitCode.USAGE


def test_a_missing_stack_is_reported_with_the_fix(project: Project) -> None:
    for command in ("status", "alarms", "traces", "logs"):
        done = project.rtp(command, "--json", ok=False)
        assert done.code == ExitCode.NOT_FOUND
        assert "rtp deploy" in done.json["error"]["hint"]


@pytest.mark.usefixtures("story")
def test_alarms_show_states_reasons_and_changes(deployed: Project) -> None:
    # Given a message in the dead-letter queue / When its alarm has fired
    def fired() -> Any:
        answer = deployed.rtp("alarms", "--json").json
        ringing = {a["name"]: a for a in answer["alarms"] if a["state"] == "ALARM"}
        return (answer, ringing) if f"{NAME}-dlq-messages" in ringing else None

    found, ringing = until(fired, seconds=180)
    # Then what rings comes first, with its reason and its change
    assert [a["name"] for a in found["alarms"][: len(ringing)]] == list(ringing)
    assert "Threshold Crossed" in ringing[f"{NAME}-dlq-messages"]["reason"]
    turn = next(t for t in found["history"] if t["alarm"] == f"{NAME}-dlq-messages")
    assert turn["after"] == "ALARM"
    text = deployed.rtp("alarms").stdout
    assert re.search(r"^ALARM   dlq-messages", text, re.MULTILINE)
    assert "rtp dlq inspect" in text
