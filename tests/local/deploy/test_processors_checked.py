"""Processors are imported before anything is deployed, and what is wrong is told by file and line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rtp.errors import ConfigError
from rtp.ops.stack.build import processors

if TYPE_CHECKING:
    from pathlib import Path

START = "from rtp.runtime import processor\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x = 1 / 0", "ZeroDivisionError: division by zero"),
        ("print('talk'); raise SystemExit(3)", "SystemExit: 3"),
        ("import never_installed_anywhere", "No module named 'never_installed_anywhere'"),
    ],
)
def test_the_line_that_cannot_be_imported_is_named(tmp_path: Path, line: str, said: str) -> None:
    # Given
    file = tmp_path / "processors.py"
    file.write_text(START + line + "\n")
    # When
    with pytest.raises(ConfigError) as caught:
        processors.check(file, None)
    # Then
    assert f"{file}:2: " in caught.value.message
    assert said in caught.value.message


def test_a_package_that_no_requirements_list_is_to_be_listed(tmp_path: Path) -> None:
    file = tmp_path / "processors.py"
    file.write_text("import never_installed_anywhere\n")
    (tmp_path / "requirements.txt").write_text("never-installed-anywhere\n")
    with pytest.raises(ConfigError) as caught:
        processors.check(file, None)
    assert "requirements" in caught.value.hint
    doubt = processors.check(file, tmp_path / "requirements.txt")
    assert doubt is not None
    assert "never_installed_anywhere is not installed" in doubt.message


def test_what_can_be_imported_is_fine_whatever_it_prints(tmp_path: Path) -> None:
    file = tmp_path / "processors.py"
    file.write_text(START + "print('talk')\n@processor('a')\ndef a(event):\n    return {}\n")
    assert processors.check(file, None) is None


def test_a_file_without_a_processor_is_told_each_time(tmp_path: Path) -> None:
    # Given a file whose author forgot to declare anything
    file = tmp_path / "handlers.py"
    file.write_text("def a(event):\n    return {}\n")
    for _ in range(2):
        # When it is checked, with a memory / Then it is said
        doubt = processors.check(file, None, memo=tmp_path / "memo")
        assert doubt is not None
        assert doubt.message == "no processors in handlers.py; every event is stored as it came"
    # When one is declared / Then all is well
    file.write_text(START + "@processor('a')\ndef a(event):\n    return {}\n")
    assert processors.check(file, None, memo=tmp_path / "memo") is None
