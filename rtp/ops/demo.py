"""The story that `rtp demo` tells: a project with a bug, the events that meet it, and the fix."""

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
max_receive_count = 2                  # an impatient pipeline: dead after two attempts
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
    """One thing told and done. `command` is what follows `rtp`; `edit` changes the folder before it.

    expect: exit codes with which the story goes on.
    """

    told: str
    command: tuple[str, ...]
    edit: Callable[[Path], None] | None = None
    expect: tuple[int, ...] = (ExitCode.OK,)


STORY = (
    Step("A pipeline, with a processor that turns an order's total into cents.", ("deploy", "--yes")),
    Step("Two orders through the API: the answer comes with the result.", ("send", "orders.json")),
    Step(
        "One more through the queue; --wait follows it to the end.", ("send", "order.json", "--via", "events", "--wait")
    ),
    Step(
        'And a bad one: its total is the text "12.50". It is accepted, fails twice, and dies.',
        ("send", "poison.json", "--via", "events", "--wait"),
        expect=(ExitCode.FAILED,),
    ),
    Step("What both functions said.", ("logs", "--since", "5m", "--level", "info")),
    Step("Where the time of one event went.", ("traces", "show", GOOD_IDS[2])),
    Step("Is the pipeline well? Exit code 1 says no.", ("status", "--check"), expect=(ExitCode.OK, ExitCode.FAILED)),
    Step("What is in the dead-letter queue, and why. Looking consumes nothing.", ("dlq", "inspect")),
    Step(
        "The fix: the processor takes text too. Only the code changes, so the deploy is short.",
        ("deploy", "--yes"),
        edit=lambda folder: fix(folder),
    ),
    Step("The dead message goes back to the queue.", ("dlq", "redrive", "--all", "--yes", "--wait")),
    Step("The whole story of that event.", ("show", POISON_ID)),
    Step("And everything goes away again.", ("destroy", "--yes")),
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
    """Make the processor take text too."""
    path = folder / "processors.py"
    source = path.read_text(encoding="utf-8")
    path.write_text("from decimal import Decimal\n\n" + source.replace(BUG, FIX), encoding="utf-8")
