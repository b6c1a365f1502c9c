"""docs/verified.md: every row names a step of `make aws-check` or why there is none, and only an account says yes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from checks.aws import results
from checks.aws.results import NO_STEP, Outcome, Report, Result
from checks.aws.steps import STEPS

PAGE = results.PAGE.read_text(encoding="utf-8")
ROW = "| a | b | `deploy`: not yet |\n"
RUN = Report("account", "2026-12-01", "eu-west-1", "1.0", 1, 0.1, True, (Result("deploy", "passed", 1, ""),))


def test_every_row_names_its_step_or_why_there_is_none() -> None:
    rows = results.rows(PAGE)
    assert len(rows) > 20
    wrong = [row for row in rows if results.step_of(row[-1]) not in STEPS and not row[-1].startswith(NO_STEP)]
    assert wrong == [], "name a step of checks/aws/steps.py in the last cell, or `no step: REASON`"


def test_every_step_but_those_that_prepare_shows_a_row() -> None:
    assert set(STEPS) - {results.step_of(row[-1]) for row in results.rows(PAGE)} == set()


def test_the_page_says_what_the_results_say() -> None:
    assert results.page() == PAGE, "run `make docs`"
    report = results.load()
    assert report is None or report.place == "account"


@pytest.mark.parametrize(
    ("outcome", "cell"),
    [
        ("passed", "`deploy`: yes (2026-12-01, eu-west-1)"),
        ("failed", "`deploy`: failed (2026-12-01, eu-west-1)"),
        ("skipped", "`deploy`: not yet"),
        ("not run", "`deploy`: not yet"),
    ],
)
def test_a_row_has_the_outcome_of_its_step(outcome: Outcome, cell: str) -> None:
    report = replace(RUN, results=(Result("deploy", outcome, 1, ""),))
    page = results.page(ROW, report)
    assert page == f"| a | b | {cell} |\n"
    # And a later run replaces it
    assert results.page(page, RUN) == "| a | b | `deploy`: yes (2026-12-01, eu-west-1) |\n"


def test_a_run_on_the_engine_turns_no_row_to_yes() -> None:
    assert results.page(ROW, replace(RUN, place="engine")) == ROW
    said_yes = results.page(ROW, RUN)
    assert results.page(said_yes, replace(RUN, place="engine")) == ROW
