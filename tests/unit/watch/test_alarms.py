"""The history of alarms: the newest changes, and whether there are more."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from rtp.contract import Names
from rtp.ops.telemetry import alarms
from tests.unit.deploy.fakes import FakeAws

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def history(*, AlarmName: str, **_: Any) -> dict[str, Any]:
    """Three changes of each alarm, newest first."""
    change = json.dumps({"oldState": {"stateValue": "OK"}, "newState": {"stateValue": "ALARM"}})
    moments = [NOW - timedelta(minutes=n) for n in range(3)]
    return {"AlarmHistoryItems": [{"AlarmName": AlarmName, "Timestamp": m, "HistoryData": change} for m in moments]}


@pytest.mark.parametrize(("limit", "more"), [(2, True), (3, False), (20, False)])
def test_a_history_that_is_cut_says_so(limit: int, more: bool) -> None:
    one = {"MetricAlarms": [{"AlarmName": "shop-dev-dlq-messages", "StateValue": "OK"}]}
    aws = FakeAws({"describe_alarms": lambda **_: one, "describe_alarm_history": history})

    read = alarms.read(cast("Any", aws), Names("shop", "dev"), since=0, limit=limit)

    assert (len(read.history), read.more) == (min(limit, 3), more)
