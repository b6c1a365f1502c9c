"""The report of `make mutants`: what no test notices is listed, and what is explained is not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from checks import mutants

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

MUTATED = """
def x_limit__mutmut_orig(n):
    return n < 3
def x_limit__mutmut_1(n):
    return n <= 3
class Mover:
    def xǁMoverǁstop__mutmut_orig(self):
        return True
    def xǁMoverǁstop__mutmut_1(self):
        return False
"""
EXPLAINED = '[[mutant]]\npath = "rtp/a.py"\nfunction = "{}"\nchange = "{}"\nwhy = "-"\n'


def reported(folder: Path, codes: dict[str, int | None]) -> int:
    (folder / "rtp").mkdir()
    (folder / "rtp" / "a.py").write_text(MUTATED)
    named = {f"rtp.a.{name}": code for name, code in codes.items()}
    (folder / "rtp" / "a.py.meta").write_text(json.dumps({"exit_code_by_key": named}))
    return mutants.main([str(folder)])


def test_survivors_are_listed_with_what_they_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reported(tmp_path, {"x_limit__mutmut_1": 0, "xǁMoverǁstop__mutmut_1": 1}) == 1

    printed = capsys.readouterr().out
    assert "2 mutants   50 % noticed or explained (0)" in printed
    assert "rtp/a.py x_limit__mutmut_1\n-    return n < 3\n+    return n <= 3" in printed


def test_what_is_explained_is_no_survivor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    explained = tmp_path / "explained.toml"
    explained.write_text(EXPLAINED.format("limit", "return n <= 3") + EXPLAINED.format("Mover.stop", "return False"))
    monkeypatch.setattr(mutants, "EXPLAINED", explained)

    assert reported(tmp_path, {"x_limit__mutmut_1": 0, "xǁMoverǁstop__mutmut_1": 33}) == 0

    assert "2 mutants  100 % noticed or explained (2)" in capsys.readouterr().out


def test_a_folder_in_which_nothing_was_run_is_an_error(tmp_path: Path) -> None:
    assert reported(tmp_path, {"x_limit__mutmut_1": None}) == 2
