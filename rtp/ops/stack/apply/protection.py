"""A table's own protection from deletion, switched outside the template.

In the template it would be there from the first moment on, and a first deploy that fails could not be rolled back: the
table would stay, and its name would block the next deploy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.aws import tables
from rtp.errors import RtpError
from rtp.ops.stack.steps import Warn
from rtp.ops.work.busy import when_free
from rtp.ops.work.clock import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.aws import Aws
    from rtp.ops.work.clock import Clock

_POLL_SECONDS = 2.0
_TIMEOUT_S = 60.0


def ensure(aws: Aws, table: str, *, on: bool, clock: Clock = SYSTEM) -> Iterator[Warn]:
    """Bring the table's protection to what the environment wants; a warning where that fails."""
    try:
        switch(aws, table, on=on, clock=clock)
    except RtpError as error:
        state = "off" if on else "on"
        yield Warn(f"The deletion protection of {table} is still {state}: {error.message} The next deploy tries again.")


def switch(aws: Aws, table: str, *, on: bool, clock: Clock = SYSTEM) -> bool:
    """Switch the protection where it differs, waiting while the table is being changed. Returns whether it differed."""
    if tables.is_protected(aws, table) is on:
        return False
    when_free(
        lambda: tables.protect(aws, table, on=on),
        f"The table {table}",
        _POLL_SECONDS,
        timeout_s=_TIMEOUT_S,
        clock=clock,
    )
    return True


def lift(aws: Aws, names: list[str]) -> list[str]:
    """Switch the protection of tables off. Returns those that were protected.

    An error is passed over: where the table matters, CloudFormation says what keeps it from being deleted.
    """
    lifted = []
    for name in names:
        try:
            if switch(aws, name, on=False):
                lifted.append(name)
        except RtpError:
            continue
    return lifted
