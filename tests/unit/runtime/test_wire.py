"""The forms of ids and times in messages."""

from __future__ import annotations

import pytest

from rtp.ops.events.identity import uuid7
from rtp.runtime import wire


def test_a_uuid7_carries_its_time() -> None:
    assert wire.uuid7_timestamp(uuid7(1_700_000_000_123)) == 1_700_000_000_123
    assert wire.uuid7_timestamp(uuid7(1_700_000_000_123).upper()) == 1_700_000_000_123
    assert wire.uuid7_timestamp("01890a5d-ac96-474b-bcce-b302099a8057") is None
    assert wire.uuid7_timestamp(uuid7() + "0") is None


@pytest.mark.parametrize(
    ("request_id", "request_time", "identity"),
    [
        ("r1", "17", ("r1", 17)),
        ("", "17", ("m1", 17)),
        ("r1", "", ("r1", 5)),
        ("r1", "-1", ("r1", 5)),
        ("r1", "1.5", ("r1", 5)),
        ("r1", "9" * 14, ("r1", 99_999_999_999_999)),
        ("r1", "9" * 15, ("r1", 5)),
        ("x" * 200, "", ("x" * 128, 5)),
    ],
)
def test_an_event_without_an_id_has_that_of_its_request_or_else_of_its_message(
    request_id: str, request_time: str, identity: tuple[str, int]
) -> None:
    assert wire.fallback_identity(request_id, request_time, message_id="m1", sent_at=5) == identity
