"""A queue keeps the URL that it was made with, whatever port the engine has got since.

Without this, an engine that comes back on another port looks for its queues under URLs with that port: event sources
find none, and every message waits for ever without a word.
"""

from __future__ import annotations

from rtp.local.patches import replace, require


def apply() -> None:
    """Put it in."""
    from ministack.services import sqs

    require(sqs, "_queue_name_to_url", "get_region")

    def url_of(account_id: str, name: str) -> str:
        known = sqs._queue_name_to_url.get_scoped(account_id, sqs.get_region(), name)
        return str(known or made(account_id, name))

    made = replace(sqs, "_queue_url_for_account", url_of, "account_id name")
