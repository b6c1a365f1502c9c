"""The quick form of `make aws-check`, against the engine. tests/reliability runs all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checks.aws import results
from checks.aws.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path


def test_the_check_runs_against_the_engine_and_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    assert main(["--engine", "--quick", "--yes", "--out", str(out)]) == 0
    report = results.load(out)
    assert report is not None
    assert (report.place, report.gone, report.cost_usd) == ("engine", True, 0)
    outcomes = {result.step: result.outcome for result in report.results}
    assert (outcomes["deploy"], outcomes["model"], outcomes["pin"]) == ("passed", "passed", "not run")
