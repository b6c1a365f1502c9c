"""`make pages` runs in CI wherever its browser is, whatever the distribution calls it."""

from __future__ import annotations

import re
from pathlib import Path

from checks.pages import BROWSERS

CI = Path(__file__).parents[3] / ".ci" / "run"


def test_ci_looks_for_every_browser_that_the_check_takes() -> None:
    names = re.search(r"if command -v (.+?) > /dev/null; then\s+make pages", CI.read_text(encoding="utf-8"))

    assert names is not None
    assert tuple(names[1].split()) == BROWSERS
