"""The steps of `rtp demo`: a project with a bug, events that fail because of it, and the fix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.errors import ExitCode
from rtp.text import json_values, times

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIG = """\
project = "demo"

[processors]
path = "processors.py"

[env.local]
max_receive_count = 2                  # an event is dead after two attempts
"""

BUGGY = """\
from rtp.runtime import Event, processor


@processor("order.created")
def price(event: Event) -> dict:
    return {"total_cents": round(event.data["total"] * 100)}
"""
BUG = 'event.data["total"]'
FIX = 'Decimal(event.data["total"])'

GOOD_IDS = ("order-1001", "order-1002", "order-1003")
POISON_ID = "order-1004"


@dataclass(frozen=True, slots=True)
class Step:
    """A step: its title, then a command. command: what follows `rtp`; edit: changes the folder before it.

    expect: exit codes with which the demo continues.
    """

    title: str
    command: tuple[str, ...]
    edit: Callable[[Path], None] | None = None
    expect: tuple[int, ...] = (ExitCode.OK,)


STORY = (
    Step("A pipeline, with a processor that turns an order's total into cents.", ("deploy", "--yes")),
    Step("Two orders through the API: the answer comes with the result.", ("send", "orders.json")),
    Step(
        "One through the queue; --wait waits until it is processed.",
        ("send", "order.json", "--via", "events", "--wait"),
    ),
    Step(
        'An order whose total is the text "12.50". It is accepted, fails twice, and is dead.',
        ("send", "poison.json", "--via", "events", "--wait"),
        expect=(ExitCode.FAILED,),
    ),
    Step("The logs of both functions.", ("logs", "--since", "5m", "--level", "info")),
    Step("The trace of one event.", ("traces", "show", GOOD_IDS[2])),
    Step("Is the pipeline healthy? Exit code 1: no.", ("status", "--check"), expect=(ExitCode.OK, ExitCode.FAILED)),
    Step("What is wrong, on one screen: the cause, its line, its release, and what to run next.", ("triage",)),
    Step("The dead-letter queue's messages, and why they failed. Inspecting consumes nothing.", ("dlq", "inspect")),
    Step(
        "The fix: the processor accepts text too. First on the dead event, with nothing stored or sent.",
        ("rehearse",),
        edit=lambda folder: fix(folder),
    ),
    Step("Only the code changes, so the deploy is short.", ("deploy", "--yes")),
    Step(
        "Move the message back to the queue.",
        ("dlq", "redrive", "--all", "--yes", "--wait"),
    ),
    Step("All that is known of that event.", ("show", POISON_ID)),
    Step("Delete everything.", ("destroy", "--yes")),
)


def prepare(folder: Path) -> None:
    """Write the project and its events."""
    now = times.now_ms()

    def order(number: int, total: object) -> dict[str, object]:
        event_id = (*GOOD_IDS, POISON_ID)[number]
        return {"id": event_id, "timestamp": now + number, "type": "order.created", "data": {"total": total}}

    (folder / "rtp.toml").write_text(CONFIG, encoding="utf-8")
    (folder / "processors.py").write_text(BUGGY, encoding="utf-8")
    for name, content in (
        ("orders.json", [order(0, 12.5), order(1, 99)]),
        ("order.json", order(2, 7.25)),
        ("poison.json", order(3, "12.50")),
    ):
        (folder / name).write_text(json_values.dumps(content, indent=2), encoding="utf-8")


def fix(folder: Path) -> None:
    """Make the processor accept text too."""
    path = folder / "processors.py"
    source = path.read_text(encoding="utf-8")
    path.write_text("from decimal import Decimal\n\n" + source.replace(BUG, FIX), encoding="utf-8")
