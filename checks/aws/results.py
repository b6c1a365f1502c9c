"""The results of a run, and the table of docs/verified.md that shows them."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "aws-check.json"
PAGE = ROOT / "docs" / "verified.md"
_CELL = re.compile(r"`([a-z-]+)`: .*")
NO_STEP = "no step: "
Outcome = Literal["passed", "failed", "skipped", "not run"]


@dataclass(frozen=True, slots=True)
class Result:
    """How a step ended. detail: what it measured, or the reason."""

    step: str
    outcome: Outcome
    seconds: float
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """A run. place: `account` or `engine`. cost_usd: estimated from what was used. gone: whether nothing was left."""

    place: Literal["account", "engine"]
    date: str
    region: str
    rtp: str
    seconds: float
    cost_usd: float
    gone: bool
    results: tuple[Result, ...]

    def write(self, file: Path) -> None:
        """Write the report as JSON."""
        file.write_text(json.dumps({"version": 1, **asdict(self)}, indent=2) + "\n")


def load(file: Path = FILE) -> Report | None:
    """The last report; None if there is none."""
    if not file.exists():
        return None
    document = json.loads(file.read_text())
    document.pop("version")
    return Report(**{**document, "results": tuple(Result(**result) for result in document["results"])})


def rows(page: str) -> list[list[str]]:
    """The cells of each row of the page's tables, without their heads."""
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in page.splitlines() if line[:2] == "| "]
    return [row for row in cells if row[0] not in ("what", "---")]


def step_of(cell: str) -> str | None:
    """The step that a row's last cell names; None where it gives a reason for none."""
    match = _CELL.fullmatch(cell)
    return match[1] if match else None


def page(text: str | None = None, report: Report | None = None) -> str:
    """The page with each row's last cell as the report has it. Only a run on an account makes it `yes`."""
    text = PAGE.read_text(encoding="utf-8") if text is None else text
    report = report or load()
    outcomes: Mapping[str, Result] = {}
    if report is not None and report.place == "account":
        outcomes = {result.step: result for result in report.results}

    def shown(match: re.Match[str]) -> str:
        result = outcomes.get(match[2])
        if result is None or report is None or result.outcome in ("skipped", "not run"):
            return f"{match[1]}`{match[2]}`: not yet |"
        word = "yes" if result.outcome == "passed" else "failed"
        return f"{match[1]}`{match[2]}`: {word} ({report.date}, {report.region}) |"

    return re.sub(r"^(\| .* \| )`([a-z-]+)`: [^|]* \|$", shown, text, flags=re.MULTILINE)
