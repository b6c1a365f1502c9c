"""CloudWatch metrics: the values of several series over one period of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    by_id: dict[str, list[float]] = {f"m{n}": [] for n in range(len(series))}
    queries = [_query(f"m{n}", one, period_s) for n, one in enumerate(series)]
    pages = aws.pages(
        "cloudwatch",
        "get_metric_data",
        "MetricDataResults",
        MetricDataQueries=queries,
        StartTime=since_s,
        EndTime=until_s,
        ScanBy="TimestampAscending",
    )
    for result in pages:
        by_id[result["Id"]] += [float(v) for v in result.get("Values", ())]
    return list(by_id.values())


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
