"""rtp trust refuses what it would not do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from rtp.commands.trust import app
from rtp.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "words",
    [
        ["--remove"],
        ["--endpoint-url", "http://192.0.2.1"],
        ["--endpoint-url", "nonsense", "."],
        ["--endpoint-url", "http://user:hunter2@192.0.2.1", "."],
        ["--remove", "--endpoint-url", "http://192.0.2.1", "."],
    ],
)
def test_nothing_is_noted_that_would_have_no_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, UsageError)
    assert "hunter2" not in str(result.exception.message)
    assert list(tmp_path.iterdir()) == []
