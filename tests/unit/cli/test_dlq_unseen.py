"""What SQS still has in flight is said by every command on the DLQ, and is an exit code of its own."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
import typer

from rtp.commands import dlq
from rtp.commands.render import dlq as render
from rtp.errors import ExitCode
from rtp.ops.dlq.inspect import Inspection
from rtp.ops.dlq.purge import Purged
from rtp.ops.dlq.redrive import Failure, Report
from rtp.terminal.output import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.text.elements import Element

HIDDEN = "not seen: 6 messages could not be received: hidden by another receiver"


def drawn(elements: Sequence[Element]) -> str:
    text = io.StringIO()
    Output(stderr=text).say(*elements)
    return " ".join(text.getvalue().split())


@pytest.mark.parametrize(
    "elements",
    [
        render.redrive(Report(run="run", redriven=39, unseen=6)),
        render.redrive(Report(run="run", unseen=6)),
        render.redrive(Report(run=None, dry_run=True, unseen=6)),
        render.purged(Purged("run", 0, 0, "", [], unseen=6)),
        render.purged(Purged("run", 39, 0, "backup", [], unseen=6)),
        render.inspection(Inspection("q", 6, [], [], unseen=6)),
        render.inspection(Inspection("q", 45, [], [], unseen=6)),
    ],
    ids=["redriven", "nothing redriven", "dry run", "nothing purged", "purged", "nothing received", "nothing matches"],
)
def test_what_was_not_seen_is_said(elements: Sequence[Element]) -> None:
    assert HIDDEN in drawn(elements) and "repeat the command in a few minutes" in drawn(elements)


def test_of_a_queue_of_which_nothing_was_received_nothing_is_said_to_match() -> None:
    assert "none of which could be received" in drawn(render.inspection(Inspection("q", 6, [], [], unseen=6)))
    assert "none of which match" in drawn(render.inspection(Inspection("q", 7, [], [], unseen=6)))
    assert "was not seen in the dead-letter queue" in drawn(render.purged(Purged("run", 0, 0, "", ["e1"], unseen=6)))
    assert "is not in the dead-letter queue" in drawn(render.purged(Purged("run", 0, 0, "", ["e1"])))


@pytest.mark.parametrize("deleted", [0, 39])
def test_what_sqs_has_not_deleted_is_said_of_a_purge(deleted: int) -> None:
    assert "6 not deleted by SQS" in drawn(render.purged(Purged("run", deleted, 6, "backup", [])))


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (Report(run="run", redriven=39), None),
        (Report(run="run", redriven=39, unseen=6), ExitCode.TIMED_OUT),
        (Report(run="run", redriven=39, missing=["e1"], unseen=6), ExitCode.TIMED_OUT),  # it may be hidden
        (Report(run="run", redriven=39, missing=["e1"]), ExitCode.NOT_FOUND),
        (Report(run="run", redriven=39, pending=1), ExitCode.TIMED_OUT),
        (Report(run="run", redriven=39, failed=[Failure("m1", "e1", "no")], unseen=6), ExitCode.FAILED),
        (Report(run="run", redriven=39, outcomes={"conflict": 1}, pending=1), ExitCode.FAILED),
    ],
)
def test_a_redrive_that_has_not_seen_all_does_not_succeed(report: Report, code: ExitCode | None) -> None:
    if code is None:
        dlq._exit_redrive(report)
        return
    with pytest.raises(typer.Exit) as ended:
        dlq._exit_redrive(report)
    assert ended.value.exit_code == code


def test_a_redrive_that_was_cut_names_the_command_that_continues_it() -> None:
    report = Report(run="20261128T045422Z-redrive-5e5ca8", redriven=181)
    shown = drawn(render.redrive(report, continues=True))
    assert (
        "rtp dlq redrive --run=20261128T045422Z-redrive-5e5ca8 --wait" in shown and "no message is sent twice" in shown
    )
    assert "--run=" not in drawn(render.redrive(report))
