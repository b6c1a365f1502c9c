"""The check of the HTML pages can fail: each fault that it looks for is found in a page that has it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from checks import pages

if TYPE_CHECKING:
    from pathlib import Path

FAULTS = {
    "wide": ('<div style="width:9000px">x</div>', "px wide"),
    "request": ('<img src="http://127.0.0.1:1/x.png">', "request of http://127.0.0.1:1/x.png"),
    "console": ("<script>missing()</script>", "script: "),
}


@pytest.mark.slow
@pytest.mark.skipif(pages.browser() is None, reason="there is no Chromium on this machine")
def test_each_fault_of_a_page_is_found(tmp_path: Path) -> None:
    program = pages.browser()
    assert program is not None
    view = pages.VIEWS[0]
    with pages.opened(program) as chromium:
        for name, (body, expected) in {**FAULTS, "none": ("<p>text</p>", "")}.items():
            page = tmp_path / f"{name}.html"
            page.write_text(f"<!doctype html><html><body>{body}</body></html>")
            found = pages.findings(chromium, page, view, tmp_path)
            assert any(expected in each for each in found) if expected else found == []
            assert (tmp_path / f"{name}-desk.png").stat().st_size > 0
        assert (tmp_path / "none.pdf").read_bytes().startswith(b"%PDF")


def test_a_browser_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_ANSWER_S", 0.1)
    with pages.opened("true") as chromium, pytest.raises((pages.PageError, BrokenPipeError)):
        time.sleep(0.2)
        chromium.call("Page.enable")


def test_without_a_browser_the_check_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pages.main([]) == 2
    assert "Debian's package is `chromium`" in capsys.readouterr().err
