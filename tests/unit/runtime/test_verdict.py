"""The verdict on an attempt, from which record, message and metrics follow."""

from __future__ import annotations

from typing import Any

import pytest

from rtp.runtime import Reject
from rtp.runtime.event import Identity, InvalidEventError
from rtp.runtime.jsontext import Problem
from rtp.runtime.verdict import judge

INVALID = InvalidEventError((Problem("$.data", "required"),), Identity("e1", 1))


@pytest.mark.parametrize(
    ("cause", "is_last", "kind", "status", "outcome"),
    [
        (None, False, "processed", "processed", "processed"),
        (None, True, "processed", "processed", "processed"),
        (INVALID, False, "invalid", "dead", "rejected"),
        (Reject("no"), False, "rejected", "dead", "rejected"),
        (ValueError("no"), False, "failed", "failed", "failed"),
        (ValueError("no"), True, "failed", "dead", "failed"),
        (SystemExit(3), False, "failed", "failed", "failed"),
    ],
)
def test_the_verdict_for_each_cause(cause: Any, is_last: bool, kind: str, status: str, outcome: str) -> None:
    verdict = judge(cause, {"n": 1}, is_last=is_last)

    assert (verdict.kind, verdict.status, verdict.outcome) == (kind, status, outcome)
    assert verdict.is_dead == (status == "dead")
    assert verdict.result == (None if cause else {"n": 1})


def test_the_error_type_is_invalidevent_or_the_class() -> None:
    assert [judge(cause).error[:2] for cause in (INVALID, KeyError("x"))] == [  # type: ignore[index]
        ("InvalidEvent", "$.data: required"),
        ("KeyError", "'x'"),
    ]
