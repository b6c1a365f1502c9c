"""The commands that install rtp. The distribution's name is not the package's: `rtp` on the public index is foreign."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.text import suggest

if TYPE_CHECKING:
    from rtp.text.elements import Command

DISTRIBUTION = "realtime-processor"
"""The name to install rtp by; the command and the import are `rtp`."""

# The receipt that an installer leaves in the environment that it makes, and its command.
_RECEIPTS = {"uv-receipt.toml": ("uv", "tool", "install"), "pipx_metadata.json": ("pipx", "install")}


def with_extra(name: str, *, prefix: str = sys.prefix) -> Command | None:
    """The command that adds an extra, such as `local`, to the environment that rtp runs in."""
    installer = _installer(prefix)
    # pipx and uv leave an installed tool as it is unless they are forced.
    force = () if installer == ("pip", "install") else ("--force",)
    return suggest.command(*installer, *force, f"{DISTRIBUTION}[{name}]")


def again(*, prefix: str = sys.prefix) -> Command | None:
    """The command that installs rtp and its dependencies again."""
    installer = _installer(prefix)
    return suggest.command(*installer, "--force-reinstall" if installer[0] == "pip" else "--force", DISTRIBUTION)


def _installer(prefix: str) -> tuple[str, ...]:
    """The installer whose environment this is; pip where none has left its receipt."""
    return next((words for name, words in _RECEIPTS.items() if Path(prefix, name).is_file()), ("pip", "install"))
