"""CloudWatch metrics: the values of several series over one period of time."""

from __future__ import annotations

from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Data:
    """The values of one query. starts: of the period of each value, epoch s. status: CloudWatch's, of the last page."""

    starts: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    status: str = "Complete"


def values(aws: Aws, series: Sequence[Series], *, since_s: int, until_s: int, period_s: int) -> list[list[float]]:
    """For each series its value in each period that has one, oldest first. Times are epoch s. At most 500 series."""
    by_id: dict[str, Data] = {}

    def read(queries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Read series from their beginning. Returns those of which CloudWatch has left something out at the end."""
        by_id.update(data(aws, queries, since_s=since_s, until_s=until_s))
        return [query for query in queries if by_id[query["Id"]].status in ("PartialData", "InternalError")]

    left = partial.complete(read, [_query(f"m{n}", one, period_s) for n, one in enumerate(series)])
    if left:
        raise throttled("cloudwatch", "get_metric_data", f"values of {len(left)} of {len(series)} metrics")
    return [by_id[f"m{n}"].values for n in range(len(series))]


def data(aws: Aws, queries: Sequence[dict[str, Any]], *, since_s: int, until_s: int) -> dict[str, Data]:
    """What CloudWatch answers to each query, by the query's id, oldest value first; it may be incomplete."""
    by_id = {str(query["Id"]): Data() for query in queries}
    for result in aws.pages(
        "cloudwatch",
        "get_metric_data",
        "MetricDataResults",
        MetricDataQueries=list(queries),
        StartTime=since_s,
        EndTime=until_s,
        ScanBy="TimestampAscending",
    ):
        answer = by_id[result["Id"]]
        answer.starts += [round(moment.timestamp()) for moment in result.get("Timestamps", ())]
        answer.values += [float(value) for value in result.get("Values", ())]
        answer.status = str(result.get("StatusCode", "Complete"))
    return by_id


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
