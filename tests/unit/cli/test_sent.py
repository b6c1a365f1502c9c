"""What a send of many events shows: rate and time left, the first failures, and a file with all of them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from rtp.commands import send_resume
from rtp.commands.render import sent as render_sent
from rtp.ops.events.batch import Progress
from rtp.ops.events.sent import Sent
from rtp.ops.events.summary import Summary
from rtp.terminal import draw

if TYPE_CHECKING:
    from pathlib import Path

FAILED = [
    Sent(f"e{n}", n, "failed", 500, "", 12.0, line=n, error={"type": "ServerError", "message": f"no {n}"})
    for n in range(1, 9)
]


def shown(elements: list[Any]) -> str:
    return "\n".join(draw.flat(element) for element in elements)


def test_progress_has_the_rate_and_the_time_left() -> None:
    assert (
        shown(render_sent.progress(Progress(200, 800, 3, 20.0, {}))) == "200 of 800 sent · 20/s · 30s left · 3 failed"
    )


def test_progress_of_a_wait_has_the_outcomes_and_that_of_one_event_nothing() -> None:
    outcomes = {"processed": 700, "dead": 1}
    assert shown(render_sent.progress(Progress(800, 800, 0, 20.0, outcomes))).endswith("1 dead, 700 processed")
    assert render_sent.progress(Progress(0, 1, 0, 0.0, {})) == []


def test_the_summary_names_the_first_failures_and_the_file_with_all(tmp_path: Path) -> None:
    result = Summary(total=9)
    for sent in FAILED:
        result.add(sent)
        result.failed.append(sent) if sent not in result.failed else None

    text = shown(render_sent.summary(result, tmp_path / "all.jsonl"))

    assert [f"line {n}  e{n}  ServerError: no {n}" in text for n in range(1, 9)] == [True] * 5 + [False] * 3
    assert f"and 3 more; all of them in {tmp_path / 'all.jsonl'}" in text


def test_the_file_has_every_failed_event_with_its_line_and_is_private(tmp_path: Path) -> None:
    environment = SimpleNamespace(state=tmp_path / ".rtp", name="local", root=tmp_path)
    (tmp_path / ".rtp").mkdir(mode=0o700)

    file = send_resume.write_failures(cast("Any", SimpleNamespace(environment=environment)), FAILED)

    written = [json.loads(row) for row in file.read_text().splitlines()]
    assert [(row["id"], row["line"], row["error"]["message"]) for row in written] == [
        (f"e{n}", n, f"no {n}") for n in range(1, 9)
    ]
    assert file.stat().st_mode & 0o777 == 0o600
