"""rtp run: one event through the processors, in this process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PROCESSORS = """
import dataclasses
import sys
from rtp.runtime import Event, Reject, processor

@dataclasses.dataclass
class Strict:
    n: int

    def __post_init__(self) -> None:
        if self.n == 1:
            raise RuntimeError("the model's own")
        if self.n == 2:
            sys.exit("bye")

@processor("strict", data=Strict)
def strict(event: Event[Strict]) -> None:
    pass

@processor("order.created")
def price(event: Event) -> dict:
    if event.data["total"] < 0:
        raise Reject("negative total")
    event.emit("order.priced", {"n": event.attempt})
    return {"total_cents": round(event.data["total"] * 100)}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "rtp.toml").write_text('[processors]\npath = "processors.py"\n')
    (tmp_path / "processors.py").write_text(PROCESSORS)
    return tmp_path


def run(folder: Path, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rtp", "run", *argv],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_event_is_processed_as_in_lambda(project: Path) -> None:
    done = run(project, "--data", '{"total": 1.10}', "--type", "order.created", "--attempt", "3", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["outcome"] == "processed"
    assert answer["result"] == {"total_cents": 110}
    assert answer["emitted"] == [{"type": "order.priced", "data": {"n": 3}}]


@pytest.mark.parametrize(
    ("data", "outcome", "text"),
    [
        ('{"total": -1}', "rejected", "negative total"),
        ('{"total": "1"}', "failed", "processors.py"),
        ("{}", "failed", "KeyError"),
    ],
)
def test_a_failure_is_shown_with_the_users_own_frames(project: Path, data: str, outcome: str, text: str) -> None:
    done = run(project, "--data", data, "--type", "order.created")
    assert done.returncode == 1
    assert outcome in done.stdout
    assert text in done.stdout
    assert "rtp/runtime" not in done.stdout


@pytest.mark.parametrize(
    ("n", "kind", "text"), [(1, "RuntimeError", "the model's own"), (2, "ExitedError", "SystemExit: bye")]
)
def test_a_model_whose_own_code_raises_is_a_failure_as_in_lambda(project: Path, n: int, kind: str, text: str) -> None:
    done = run(project, "--data", json.dumps({"n": n}), "--type", "strict", "--json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["outcome"], answer["errors"]) == (1, "failed", [])
    assert (answer["error"]["type"], answer["error"]["message"]) == (kind, text)


def test_a_type_without_a_processor_is_stored_unchanged(project: Path) -> None:
    done = run(project, "-", stdin='{"type": "other", "data": {}}')
    assert done.returncode == 0
    assert "no processor" in done.stdout


@pytest.mark.parametrize(
    ("argv", "stdin", "code", "text"),
    [
        ([], "", 2, "No event is given"),
        (["nowhere.json"], "", 2, "no file"),
        (["-"], "{", 2, "standard input"),
        (["-"], '{"type": 5, "data": {}}', 2, "$.type"),
        (["-"], '[{"type": "a", "data": {}}, {"type": "a", "data": {}}]', 2, "2 events"),
    ],
)
def test_bad_input_is_named(project: Path, argv: list[str], stdin: str, code: int, text: str) -> None:
    done = run(project, *argv, stdin=stdin)
    assert done.returncode == code
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_a_processors_file_that_does_not_import_is_named_with_its_line(project: Path) -> None:
    (project / "processors.py").write_text("def broken(:\n")
    done = run(project, "-", stdin='{"type": "a", "data": {}}')
    assert done.returncode == 3
    assert "processors.py:1" in done.stderr
    assert "Traceback" not in done.stderr
