"""Type checkers accept a new project under their strictest rules, and find what is wrong in it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from rtp.ops.scaffold import write

if TYPE_CHECKING:
    from pathlib import Path

TYPED = """
from dataclasses import dataclass

from rtp.runtime import Event, Reject, processor
from rtp.runtime.testing import event, run


@dataclass
class Order:
    total: int


@processor("order.paid", data=Order)
async def pay(event: Event[Order]) -> dict[str, int]:
    if event.data.total < 0:
        raise Reject("negative")
    event.emit("order.done", {"total": event.data.total})
    return {"total": event.data.total}


async def direct() -> int:
    answer: dict[str, int] = await pay(event=event("order.paid", {"total": 1}))
    return answer["total"] + len(run("order.paid", {"total": 1}).emitted)
"""
WRONG = TYPED + "\n\ndef wrong(event: Event[Order]) -> int:\n    return event.data.totl\n"
RESULT = TYPED + "\n\nasync def wrong(event: Event[Order]) -> str:\n    return await pay(event)\n"
CHECKERS = pytest.mark.parametrize("checker", ["mypy", pytest.param("basedpyright", marks=pytest.mark.long)])


def check(checker: str, folder: Path) -> subprocess.CompletedProcess[str]:
    options = {"mypy": [".", "--cache-dir", str(folder / ".cache")], "basedpyright": ["--pythonpath", sys.executable]}
    argv = [sys.executable, "-m", checker, *options[checker]]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
@CHECKERS
def test_a_new_project_and_typed_events_pass_strictly(checker: str, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "typed.py").write_text(TYPED)

    done = check(checker, tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@CHECKERS
def test_a_wrong_field_and_a_wrong_result_are_found(checker: str, tmp_path: Path) -> None:
    write(tmp_path)
    wrong = {"field.py": (WRONG, "totl"), "result.py": (RESULT, "dict[str, int]")}
    for name, (code, _) in wrong.items():
        (tmp_path / name).write_text(code)

    done = check(checker, tmp_path)

    assert done.returncode == 1, done.stdout + done.stderr
    for name, (_, problem) in wrong.items():
        assert any(name in line and "error" in line and problem in line for line in done.stdout.splitlines()), name
