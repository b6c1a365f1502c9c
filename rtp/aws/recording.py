"""Records which AWS operations a command calls, for the policies that `rtp doctor --policy` prints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "RTP_CALLS_FILE"
"""Environment variable that names the file; a line each call, such as `sqs:SendMessage`."""


def attach(session: Any, environ: Mapping[str, str] = os.environ) -> None:
    """Append each operation that the session's clients call to the file of RTP_CALLS_FILE, where that is set.

    Names of operations alone are written, no parameter.
    """
    if not (name := environ.get(VARIABLE)):
        return
    path = Path(name)

    def record(model: Any, **_: Any) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{model.service_model.service_name}:{model.name}\n")

    session.register("before-call", record)
