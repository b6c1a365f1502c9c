"""CloudWatch metrics: the values of several series over one period of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.aws.failures import throttled
from rtp.runtime import partial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.aws import Aws


@dataclass(frozen=True, slots=True)
class Series:
    """A metric and one statistic of it, such as Sum, Maximum, Average or p95."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: str


def values(aws: Aws, series: Sequence[Series], *, since_s: int, until_s: int, period_s: int) -> list[list[float]]:
    """For each series its value in each period that has one, oldest first. Times are epoch s. At most 500 series."""
    by_id: dict[str, list[float]] = {}

    def read(queries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Read series from their beginning. Returns those of which CloudWatch has left something out at the end."""
        statuses: dict[str, str] = {}
        by_id.update({query["Id"]: [] for query in queries})
        for result in aws.pages(
            "cloudwatch",
            "get_metric_data",
            "MetricDataResults",
            MetricDataQueries=queries,
            StartTime=since_s,
            EndTime=until_s,
            ScanBy="TimestampAscending",
        ):
            by_id[result["Id"]] += [float(v) for v in result.get("Values", ())]
            statuses[result["Id"]] = result.get("StatusCode", "Complete")
        return [query for query in queries if statuses.get(query["Id"]) in ("PartialData", "InternalError")]

    left = partial.complete(read, [_query(f"m{n}", one, period_s) for n, one in enumerate(series)])
    if left:
        raise throttled("cloudwatch", "get_metric_data", f"values of {len(left)} of {len(series)} metrics")
    return [by_id[f"m{n}"] for n in range(len(series))]


def _query(query_id: str, series: Series, period_s: int) -> dict[str, Any]:
    return {
        "Id": query_id,
        "MetricStat": {
            "Metric": {
                "Namespace": series.namespace,
                "MetricName": series.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in series.dimensions],
            },
            "Period": period_s,
            "Stat": series.statistic,
        },
    }
