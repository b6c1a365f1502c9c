"""What `rtp capacity` reads: the account's quotas, and the load from metrics; what cannot be read is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from rtp.aws import service_quotas
from rtp.contract import Names
from rtp.errors import AwsError
from rtp.ops.capacity import account
from rtp.ops.capacity.facts import facts
from rtp.ops.capacity.measured import Measured, measure
from tests.unit.deploy.fakes import FakeAws
from tests.unit.deploy.stubs import stubbed

if TYPE_CHECKING:
    from rtp.aws import Aws

NAMES = Names("shop", "prod")
UNTIL = 1_700_000_000 // 3600 * 3600


def test_a_quota_without_a_value_of_the_account_s_own_is_aws_s_default() -> None:
    with stubbed("service-quotas") as (aws, stubbers):
        stub = stubbers["service-quotas"]
        asked = {"ServiceCode": "kms", "QuotaCode": "L-6E3AF000"}
        stub.add_response("get_service_quota", {"Quota": {"Value": 20_000.0}}, asked)
        assert service_quotas.applied(aws, "kms", "L-6E3AF000") == 20_000
        stub.add_client_error("get_service_quota", "NoSuchResourceException", expected_params=asked)
        stub.add_response("get_aws_default_service_quota", {"Quota": {"Value": 10_000.0}}, asked)
        assert service_quotas.applied(aws, "kms", "L-6E3AF000") == 10_000
        stub.add_client_error("get_service_quota", "AccessDeniedException", expected_params=asked)
        with pytest.raises(AwsError):
            service_quotas.applied(aws, "kms", "L-6E3AF000")


def test_the_account_s_quotas_are_read_as_far_as_it_allows() -> None:
    def quota(ServiceCode: str, QuotaCode: str) -> dict[str, Any]:
        if ServiceCode == "logs":
            raise AwsError(f"logs: access denied to {QuotaCode}", code="access-denied")
        return {"Quota": {"Value": {"apigateway": 2500.0, "kms": 10_000.0, "dynamodb": 40_000.0}[ServiceCode]}}

    concurrency = {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 7}
    aws = FakeAws({"get_service_quota": quota, "get_account_settings": lambda: {"AccountLimit": concurrency}})
    quotas, notes = account.read(cast("Aws", aws), facts())
    assert (quotas.values["api-rate"], quotas.values["kms-requests"], quotas.values["lambda-concurrency"]) == (
        2500,
        10_000,
        10,
    )
    assert quotas.unreserved == 7
    assert quotas.own == {"api-rate", "kms-requests", "dynamodb-table", "lambda-concurrency"}
    assert quotas.values["log-requests"] == facts().quotas["log-requests"].value
    (note,) = notes
    assert "log-requests" in note and "access denied" in note and "defaults" in note


def measured(by_name: dict[str, list[float]], *, hours: float = 1) -> Measured:
    """The load of metrics with these values, by the metric's name."""

    def get_metric_data(MetricDataQueries: list[dict[str, Any]], **params: Any) -> dict[str, Any]:
        assert params["EndTime"] == UNTIL
        asked = {q["Id"]: (q["MetricStat"]["Metric"]["MetricName"], q["MetricStat"]["Stat"]) for q in MetricDataQueries}
        values = {n: by_name.get(name if stat == "Sum" else f"{name} {stat}", []) for n, (name, stat) in asked.items()}
        return {"MetricDataResults": [{"Id": n, "Values": numbers} for n, numbers in values.items()]}

    aws = cast("Aws", FakeAws({"get_metric_data": get_metric_data}))
    return measure(aws, NAMES, since_s=UNTIL - round(hours * 3600), until_s=UNTIL)


def test_the_load_is_that_of_the_metrics() -> None:
    found = measured(
        {
            "NumberOfMessagesSent": [600.0, 6000.0, 600.0],
            "Invocations": [60.0],
            "Count": [7260.0],
            "SentMessageSize": [600_000.0, 6_000_000.0],
            "SentMessageSize SampleCount": [600.0, 2000.0],
            "ProcessingTime": [1000.0, 19_000.0],
            "ProcessingTime SampleCount": [10.0, 90.0],
            "EventsProcessed": [90.0],
            "EventsFailed": [6.0],
            "EventsRejected": [4.0],
        }
    )
    assert found.rate == pytest.approx((6000 + 60) / 60)
    assert found.average == pytest.approx(7260 / 3600)
    assert (found.size_bytes, found.duration_ms, found.failing, found.via) == (2538, 200.0, 0.06, "events")
    assert found.missing == {}
    assert found.rate_note == "The rate is that of the busiest minute, the average that of 1h."


@pytest.mark.parametrize(
    ("metrics", "via"),
    [
        ({"NumberOfMessagesSent": [100.0], "Count": [0.0]}, "queue"),
        ({"NumberOfMessagesSent": [100.0], "Count": [100.0]}, "events"),
        ({"NumberOfMessagesSent": [10.0], "Invocations": [100.0], "Count": [100.0]}, "process"),
    ],
)
def test_the_way_is_that_of_most_events(metrics: dict[str, list[float]], via: str) -> None:
    assert measured(metrics).via == via


def test_each_number_that_is_not_there_is_said() -> None:
    nothing = measured({})
    assert (nothing.rate, nothing.size_bytes, nothing.duration_ms, nothing.failing) == (None, None, None, None)
    texts = " ".join(nothing.missing.values())
    assert all(word in texts for word in ("No event", "SentMessageSize", "ProcessingTime", "no attempt"))


def test_long_times_have_long_periods() -> None:
    assert measured({"NumberOfMessagesSent": [3600.0]}, hours=100).rate == 1.0
    assert measured({"NumberOfMessagesSent": [300.0]}, hours=10).rate_note.startswith(
        "The rate is that of the busiest 5 minutes, "
    )
