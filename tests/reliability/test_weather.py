"""A whole life of a pipeline while AWS has a bad day: every command works, and no event is lost or doubled."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from rtp.contract import Output
from rtp.local import engine as engines
from rtp.local.weather.choice import Weather
from tests.local.events.conftest import stored
from tests.reliability.conftest import Rig, pipeline, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEEDS = [(7, 60), *(pytest.param(seed, 2_000, marks=pytest.mark.reliability) for seed in (1, 2, 3, 4, 5))]
SPEED = {"RTP_LOCAL_WEATHER_SPEED": "2"}  # of the small form: delays are half as long


@pytest.mark.xdist_group("weather")
@pytest.mark.parametrize(("seed", "count"), SEEDS)
def test_a_pipeline_lives_through_bad_weather(
    account: Callable[..., None], tmp_path: Path, seed: int, count: int
) -> None:
    speed = SPEED if count < 1_000 else None
    with pipeline(tmp_path, speed, timeout_s=5, weather=Weather(seed)) as rig:
        rtp = rig.project.rtp
        # Events come by both doors, and one in ten fails for good
        poison = _send(rig, tmp_path, count)
        wait_for(lambda: not rig.ledger().lost, seconds=120 + count / 5)
        account(rig.ledger(), _effects_met(rig), "effects")

        # Each dead event is listed, removed, restored, and moved to the queue once more
        listed = rtp("dlq", "inspect", "--json").json
        assert {message["id"] for message in listed["messages"]} == poison
        purged = rtp("dlq", "purge", "--all", "--yes", "--json").json
        assert purged["deleted"] >= len(poison)
        assert rtp("dlq", "undo", "--yes", "--json").json["back"] >= len(poison)
        assert _dlq(rig) == poison
        redriven = rtp("dlq", "redrive", "--all", "--no-canary", "--wait", "--json", ok=False, timeout=300)
        assert (redriven.code, set(redriven.json["outcomes"])) == (1, {"dead"})  # they are poison still
        wait_for(lambda: _dlq(rig) == poison, seconds=180)
        assert not rig.ledger().lost

        # What happened can be read
        one = next(event for event in rig.sent if event not in poison)
        assert rtp("show", one, "--json").json["record"]["status"] == "processed"
        assert len(rtp("records", "--status", "dead", "--limit", "1000", "--json").json["records"]) == len(poison)
        wait_for(lambda: rtp("logs", "--since", "1h", "--grep", one, "--json").lines, seconds=180)
        wait_for(lambda: rtp("traces", "--since", "1h", "--json").json["traces"], seconds=180)
        assert rtp("status", "--json").json["stack"]

        # An update and the end
        rtp("deploy", "--yes")
        rtp("destroy", "--yes", timeout=300)
        assert engines.status(rig.project.root).answers


@pytest.mark.reliability
def test_a_hotswap_whose_update_lambda_fails_later_is_an_error_with_lambda_s_reason(tmp_path: Path) -> None:
    with pipeline(tmp_path, weather=Weather(1, ("function-update-fails",))) as rig:
        code = tmp_path / "processors" / "__init__.py"
        code.write_text(code.read_text().replace("VERSION = 1", "VERSION = 2"))
        done = rig.project.rtp("deploy", "--hotswap", "--yes", ok=False)
        assert done.code == 1
        assert "Lambda could not update" in done.stderr and "because of an internal error" in done.stderr


def _send(rig: Rig, folder: Path, count: int) -> set[str]:
    """Send events, half by the API and half to the queue. Returns the ids of those that fail."""
    events = rig.events(count, poison=0.1)
    by_api = folder / "events.ndjson"
    by_api.write_text("".join(json.dumps(event) + "\n" for event in events[: count // 2]))
    rig.sent |= {event["id"]: event for event in events}
    report = rig.project.rtp("send", by_api, "--via", "events", "--json", timeout=600).json
    assert report["by_status"] == {"accepted": count // 2}
    rig.send(events[count // 2 :])
    return {event["id"] for event in events if event["type"] == "poison"}


def _dlq(rig: Rig) -> set[str]:
    return {json.loads(message.body)["id"] for message in stored(rig.project, rig.outputs[Output.DLQ_URL])}


def _effects_met(rig: Rig) -> int:
    return len(re.findall(r"\[rtp\.weather\]", rig.project.engine.log_file.read_text()))
