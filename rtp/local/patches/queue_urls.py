"""A queue keeps the URL that it was created with, whatever port the engine has now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import sqs

    require(sqs, "_queue_name_to_url", "get_region")

    def url_of(account_id: str, name: str) -> str:
        stored = sqs._queue_name_to_url.get_scoped(account_id, sqs.get_region(), name)
        return str(stored or original(account_id, name))

    original = replace(sqs, "_queue_url_for_account", url_of, "account_id name")


PATCH = Patch(
    name="queue_urls",
    aws="A queue's URL never changes.",
    engine=(
        "After a start on another port the engine looks for its queues under URLs with that port: event sources "
        "find none, and every message waits for ever without an error."
    ),
    test="tests/local/engine/test_patches.py::test_event_sources_find_their_queues_after_a_move_to_another_port",
    install=install,
)
