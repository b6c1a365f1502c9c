"""Fast paths: each is registered and used, and chosen tests pass with all of them turned off."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rtp import fastpath
from tests import trees

ROOT = Path(__file__).parents[2]
# Tests of what the fast paths do; each passes either way.
CHOSEN = (
    "tests/unit/cli/test_output.py",
    "tests/unit/watch/test_logs_read.py",
    "tests/unit/watch/test_render_logs.py",
    "tests/unit/aws/test_json_answers.py",
)


@trees.READS_ALL
def test_every_fast_path_is_used_where_its_name_says() -> None:
    asked = []
    for path in (ROOT / "rtp").rglob("*.py"):
        for node in trees.nodes(path):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "fastpath.enabled":
                asked.append(ast.literal_eval(node.args[0]))
    assert sorted(asked) == sorted(fastpath.FAST_PATHS)


def test_every_fast_path_has_a_row_and_its_test_exists() -> None:
    page = (ROOT / "docs" / "fast-paths.md").read_text()
    assert re.findall(r"^\| `([\w-]+)` ", page, re.MULTILINE) == list(fastpath.FAST_PATHS)
    for path in fastpath.FAST_PATHS.values():
        file, _, name = path.test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text(), path.test


def test_the_switch_turns_all_of_them_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, expected in (("", True), ("0", True), ("1", False)):
        monkeypatch.setenv(fastpath.SWITCH, value)
        assert {fastpath.enabled(name) for name in fastpath.FAST_PATHS} == {expected}
    with pytest.raises(ValueError, match="not a fast path"):
        fastpath.enabled("other")


@pytest.mark.slow
def test_chosen_tests_pass_on_the_slow_paths() -> None:
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *CHOSEN]
    environ = os.environ | {fastpath.SWITCH: "1"}
    environ.pop("PYTEST_XDIST_WORKER", None)
    run = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT, env=environ)
    assert run.returncode == 0, run.stdout
