"""`rtp local`, as people and scripts use it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from rtp.local import process
from rtp.local.state import folder
from tests import forks, json_documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Run = subprocess.CompletedProcess[str]


@pytest.fixture
def rtp(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Runs rtp in a project folder of its own."""

    def run(*args: str) -> Run:
        done = forks.run(list(args), stdin=b"", cwd=tmp_path, environ=os.environ, timeout=120)
        text = Run(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
        json_documents.check(args, text.stdout)
        return text

    yield run
    run("local", "stop")


def as_json(run: Run) -> Any:
    assert run.returncode == 0, run
    return json.loads(run.stdout)


def test_from_start_to_stop(rtp: Callable[..., Run]) -> None:
    # Start, twice
    started = as_json(rtp("local", "start", "--json"))
    assert started["state"] == "running"
    assert started["answers"]
    assert "token" not in started
    assert as_json(rtp("local", "start", "--json"))["pid"] == started["pid"]
    assert as_json(rtp("local", "status", "--json")) == started
    # What other tools need
    assert f"export AWS_ENDPOINT_URL={started['endpoint_url']}" in rtp("local", "env").stdout
    assert "key" not in str(started).lower()
    exported = as_json(rtp("local", "env", "--json"))
    assert re.fullmatch("LKIA[A-Z2-7]{16}", exported["AWS_ACCESS_KEY_ID"])
    assert len(exported["AWS_SECRET_ACCESS_KEY"]) == 40
    unquoted = 'eval $(printf "%s\\n" "$SETTINGS"); printf "%s" "$AWS_REGION"'
    settings = os.environ | {"SETTINGS": rtp("local", "env").stdout, "AWS_PROFILE": "of the operator"}
    evaluated = subprocess.run(["/bin/sh", "-c", unquoted], env=settings, capture_output=True, text=True, check=True)
    assert evaluated.stdout == "us-east-1"
    # Its log
    assert "Running on" in rtp("local", "logs").stdout
    entry = json.loads(rtp("local", "logs", "-n", "1", "--json").stdout)
    assert entry["type"] == "engine-log"
    # Stop, twice
    assert as_json(rtp("local", "stop", "--json"))["state"] == "stopped"
    assert rtp("local", "stop").returncode == 0
    assert as_json(rtp("local", "status", "--query", "state")) == "stopped"


def test_reset_asks_first(rtp: Callable[..., Run]) -> None:
    rtp("local", "start")
    refused = rtp("local", "reset")
    assert refused.returncode == 5
    assert "--yes" in refused.stderr
    assert as_json(rtp("local", "reset", "--yes", "--json"))["state"] == "running"


def test_without_an_engine_the_error_names_the_command_that_starts_one(rtp: Callable[..., Run]) -> None:
    run = rtp("local", "env")
    assert run.returncode == 4
    assert "rtp local start" in run.stderr
    assert run.stdout == ""


def test_a_killed_engine_is_reported_until_it_is_started_again(rtp: Callable[..., Run], tmp_path: Path) -> None:
    # Given
    pid = as_json(rtp("local", "start", "--json"))["pid"]
    record = folder(tmp_path).record()
    assert record is not None
    os.kill(pid, signal.SIGKILL)
    process.wait_gone(pid, record.started, 5)
    # Then status shows it, and changes nothing
    for _ in range(2):
        status = rtp("local", "status", "--json")
        assert (status.returncode, json.loads(status.stdout)["state"]) == (1, "killed")
    # And a command that needs the engine reports what was lost
    for _ in range(2):
        needed = rtp("local", "env", "--json")
        assert needed.returncode == 4
        assert json.loads(needed.stdout)["error"]["code"] == "engine-killed"
    as_json(rtp("local", "stop", "--json"))
    assert as_json(rtp("local", "status", "--json"))["state"] == "stopped"


def test_start_after_a_kill_warns(rtp: Callable[..., Run], tmp_path: Path) -> None:
    pid = as_json(rtp("local", "start", "--json"))["pid"]
    record = folder(tmp_path).record()
    assert record is not None
    os.kill(pid, signal.SIGKILL)
    process.wait_gone(pid, record.started, 5)
    run = rtp("local", "start", "--json")
    assert as_json(run)["data_lost"]
    assert "lost" in run.stderr


def test_a_taken_port_and_a_wrong_one(rtp: Callable[..., Run]) -> None:
    port = as_json(rtp("local", "start", "--json"))["port"]
    other = rtp("local", "start", "--port", str(port + 1))
    assert other.returncode == 5
    assert "rtp local stop" in other.stderr
    assert rtp("local", "start", "--port", "0").returncode == 2


def test_the_time_between_saves_is_chosen_at_the_start_and_shown(rtp: Callable[..., Run], tmp_path: Path) -> None:
    assert rtp("local", "start", "--save-every", "-1").returncode == 2
    (tmp_path / "rtp.toml").write_text("[env.local]\nsave_every_s = 600\n")
    assert as_json(rtp("local", "start", "--json"))["save_every_s"] == 600
    assert "not yet; every 600 s" in rtp("local", "status").stdout
    assert rtp("local", "start", "--save-every", "600").returncode == 0
    other = rtp("local", "start", "--save-every", "0")
    assert (other.returncode, "saves every 600 s" in other.stderr) == (5, True)
    assert "rtp local start --save-every=0" in other.stderr
    rtp("local", "stop")
    assert as_json(rtp("local", "start", "--save-every", "0", "--json"))["save_every_s"] == 0
    assert "; at a stop alone" in rtp("local", "status").stdout


def test_a_save_that_fails_is_shown_although_nothing_can_be_written(rtp: Callable[..., Run], tmp_path: Path) -> None:
    address = as_json(rtp("local", "start", "--save-every", "1", "--json"))["endpoint_url"]
    folder(tmp_path).draft.write_text("where a save would be written")
    error, deadline = "", time.monotonic() + 180
    while not error and time.monotonic() < deadline:
        urllib.request.urlopen(f"{address}/_localstack/health").close()  # noqa: S310 - the engine's address
        error = as_json(rtp("local", "status", "--json"))["save_error"]
    assert error == "File exists"
    assert "the latest save failed: File exists" in rtp("local", "status").stdout


def test_the_weather_is_chosen_at_the_start_and_shown(rtp: Callable[..., Run]) -> None:
    for wrong in (["7"], ["--weather-effects", "reset"], ["--no-weather", "--weather-effects", "resets"]):
        assert rtp("local", "start", *wrong).returncode == 2, wrong
    chosen = ["--weather-effects", "small-pages,tag-search"]
    started = as_json(rtp("local", "start", "--weather", "7", *chosen, "--json"))
    assert started["weather"] == {"seed": 7, "effects": ["small-pages", "tag-search"]}
    assert "seed 7: small-pages, tag-search" in rtp("local", "status").stdout
    # A start with the same weather, or without a wish, is none; another weather needs a stop
    for same in ([], chosen, ["--weather", "7", *chosen]):
        assert rtp("local", "start", *same).returncode == 0, same
    for other in (["--no-weather"], ["--weather", "8", *chosen], ["--weather", "7"]):
        refused = rtp("local", "start", *other, "--json")
        assert (refused.returncode, json.loads(refused.stdout)["error"]["code"]) == (5, "other-weather"), other
