"""rtp capacity: its verdict, its exit code, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from rtp.commands.capacity import app, measured_notes
from rtp.errors import UsageError
from rtp.ops.capacity.measured import Measured
from tests import json_documents

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
project = "shop"
[env.dev]
throttle_rate = 5000
region = "eu-west-1"
[env.large]
key_rate = 1000
daily_quota = 1000000000
worker_concurrency = 100
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rtp.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def document(*words: str) -> dict[str, Any]:
    text = run("--offline", "--json", *words).stdout
    assert list(json_documents.problems_of("capacity", text)) == []
    return dict(json.loads(text))


def test_the_verdict_names_the_first_limit_and_what_to_change() -> None:
    shown = run("--offline", "-e", "dev", "--rate", "5000", "--size", "2KB", "--duration", "120ms", "--failing", "1%")
    assert shown.exit_code == 0
    assert "capacity dev: 5,000 events/s, 2,048 bytes, 120 ms, 1 % of the attempts fail, POST /events" in shown.stdout
    assert "5,000 events/s do not fit: daily-quota is the first limit" in shown.stdout
    assert "worker-concurrency: worker_concurrency = 102" in shown.stdout
    assert "throttle_rate = 5000 takes 50 keys" in shown.stdout
    assert "dev is in eu-west-1; the prices are those of us-east-1." in shown.stdout


@pytest.mark.parametrize(
    ("given", "notes"),
    [
        ({}, ["no size", "of the busiest minute"]),
        ({"size_bytes": 10}, ["of the busiest minute"]),
        ({"rate": 1.0}, ["no size"]),
    ],
)
def test_nothing_is_said_of_a_measured_value_that_an_option_replaces(
    given: dict[str, object], notes: list[str]
) -> None:
    metrics = Measured(rate=5.0, missing={"size_bytes": "no size"}, rate_note="of the busiest minute")
    assert measured_notes(metrics, given) == notes


def test_check_exits_with_1_where_the_rate_does_not_fit() -> None:
    assert run("--offline", "--check", "--rate", "5000").exit_code == 1
    assert run("--offline", "--check", "-e", "large", "--rate", "800").exit_code == 0
    assert run("--offline", "-e", "large", "--rate", "800").exit_code == 0


def test_the_document_has_every_number() -> None:
    found = document("-e", "large", "--rate", "800", "--average", "80", "--keys", "2", "--via", "process")
    assert found["fits"] is True and found["load"]["keys"] == 2 and found["load"]["via"] == "process"
    assert found["total"] == pytest.approx(sum(cost["dollars"] for cost in found["costs"]))
    assert {limit["name"] for limit in found["limits"]} >= {"key-rate", "lambda-concurrency", "index-shards"}
    # The cost is that of the average, limits are those of the busiest time
    assert found["total"] < document("-e", "large", "--rate", "800", "--keys", "2", "--via", "process")["total"]


def test_the_local_environment_has_no_account_to_ask() -> None:
    assert "The quotas are AWS's defaults" in run("-e", "local").stdout


@pytest.mark.parametrize(
    "words",
    [
        ["--size", "1GB"],
        ["--size", "1MB"],
        ["--duration", "soon"],
        ["--failing", "200%"],
        ["--since", "1h"],
        ["--rate", "nan"],
        ["--average", "nan"],
        ["--size", "0"],
        ["--size", "0.1"],
        ["--size", "9" * 400],
        ["--failing", "nan"],
    ],
)
def test_what_is_no_load_is_refused(words: list[str]) -> None:
    result = run("--offline", *words)
    assert isinstance(result.exception, UsageError)
    assert result.exception.hint


@pytest.mark.parametrize("rate", ["0", "-1", "inf", "-inf", "1e400", "1e308", "1e10"])
def test_a_rate_of_nothing_or_of_everything_is_refused(rate: str) -> None:
    assert run("--offline", "--rate", rate).exit_code == 2
    assert run("--offline", "--keys", "9" * 400).exit_code == 2


def test_the_largest_load_is_computed() -> None:
    words = ("--rate", "1e9", "--duration", "50w", "--size", "256KB", "--failing", "100%", "--via", "process")
    assert document(*words)["load"]["rate"] == 1e9
    assert run("--offline", *words).exit_code == 0
