"""Which batches of log events and which filters AWS refuses."""

from __future__ import annotations

from typing import Any

import pytest

from rtp.local.patches.log_limits import HOUR_MS, batch_refusal, taken
from rtp.local.patches.mapping_limits import is_filter

NOW = 1_750_000_000_000
DAY_MS = 24 * HOUR_MS


def events(*offsets: int, size: int = 1) -> list[dict[str, Any]]:
    return [{"timestamp": NOW + offset, "message": "x" * size} for offset in offsets]


@pytest.mark.parametrize(
    ("offsets", "retention", "kept", "rejected"),
    [
        ((-14 * DAY_MS, 0), None, (0, 2), {}),
        ((-14 * DAY_MS - 1, 0), None, (1, 2), {"tooOldLogEventEndIndex": 1}),
        ((-8 * DAY_MS, -2 * DAY_MS, 0), 7, (1, 3), {"expiredLogEventEndIndex": 1}),
        ((0, 2 * HOUR_MS), None, (0, 2), {}),
        ((0, 2 * HOUR_MS + 1), None, (0, 1), {"tooNewLogEventStartIndex": 1}),
        ((-15 * DAY_MS,), None, (1, 1), {"tooOldLogEventEndIndex": 1}),
    ],
)
def test_events_that_are_too_old_or_too_new_are_left_out(
    offsets: tuple[int, ...], retention: int | None, kept: tuple[int, int], rejected: dict[str, int]
) -> None:
    assert taken(events(*offsets), NOW, retention) == (*kept, rejected)


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (events(0, 0, 1), None),
        (events(1, 0), "must be in chronological order."),
        (events(-DAY_MS, 0), None),
        (events(-DAY_MS - 1, 0), "cannot span more than 24 hours."),
        (events(0, size=1_048_576 - 26), None),
        (events(0, size=1_048_576 - 25), "Log event too large: 1048577 bytes exceeds limit of 1048576"),
        (events(0, 0, size=524_288 - 26), None),
        (events(0, 0, size=524_288 - 25), "Upload too large: 1048578 bytes exceeds limit of 1048576"),
    ],
)
def test_a_batch(batch: list[dict[str, Any]], words: str | None) -> None:
    refused = batch_refusal(batch, batch)
    assert refused is None if words is None else words in str(refused)


@pytest.mark.parametrize(
    ("pattern", "valid"),
    [
        ('{"body": {"type": ["a", {"prefix": "b"}, null]}}', True),
        ('{"$or": [{"a": [1]}, {"b": [{"exists": true}]}]}', True),
        ("{}", True),
        ("null", False),
        ('"simple string"', False),
        ('{"eventSource": "aws:sqs"}', False),
        ('{"a": []}', False),
        ('{"a": [{"unknown": 1}]}', False),
        ("[]", False),
        ("{", False),
        (None, False),
    ],
)
def test_a_filter_pattern(pattern: str | None, valid: bool) -> None:
    assert is_filter(pattern) == valid
