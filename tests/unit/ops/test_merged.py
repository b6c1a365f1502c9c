"""The newest records of all shards of the status index, and how far each shard is read."""

from __future__ import annotations

from typing import Any

import pytest

from rtp.aws import Aws
from rtp.aws.records import StatusQuery
from rtp.contract import Output
from rtp.errors import UsageError
from rtp.ops.events import records
from rtp.ops.events.records import RecordQuery


class Index(Aws):
    """A status index. times: of the records, by shard. read: the number of records that each shard gave out."""

    def __init__(self, times: list[list[int]]) -> None:
        super().__init__(region="us-east-1", local=True)
        self.__dict__["times"] = times
        self.__dict__["read"] = [0] * len(times)

    def connect(self, *_: str) -> None:
        """No connection is needed."""

    def pages(self, service: str, operation: str, key: str, **params: Any) -> Any:
        """The records of one shard, each counted when a page has it."""
        assert (service, operation, key) == ("dynamodb", "query", "Items")
        status, _, number = params["ExpressionAttributeValues"][":s"]["S"].partition("#")
        shard = int(number)
        ordered = sorted(self.__dict__["times"][shard], reverse=not params["ScanIndexForward"])
        for start in range(0, len(ordered), params["Limit"]):
            page = ordered[start : start + params["Limit"]]
            self.__dict__["read"][shard] += len(page)
            for at in page:
                yield {
                    "id": {"S": f"{shard}-{at}"},
                    "timestamp": {"N": str(at)},
                    "status": {"S": status},
                    "type": {"S": "t"},
                    "status_shard": {"S": f"{status}#{shard}"},
                }


def found(index: Index, limit: int, *, oldest_first: bool = False) -> list[int]:
    query = StatusQuery("dead", 0, 10**9, limit, oldest_first=oldest_first)
    return [r["timestamp"] for r in records.merged(index, "events", query, shards=len(index.__dict__["times"]))]


EVEN = [list(range(shard, 10_000, 10)) for shard in range(10)]
ONE_SHARD = [list(range(1_000, 2_000)), *([n] for n in range(9))]


@pytest.mark.parametrize(
    "times",
    [EVEN, ONE_SHARD, [[], [5]], [[1] * 7, [1] * 2]],
    ids=["even", "one shard", "nearly empty", "one moment"],
)
@pytest.mark.parametrize("limit", [1, 5, 51, 1_000])
@pytest.mark.parametrize("oldest_first", [False, True])
def test_the_first_records_of_all_shards_are_found_however_they_are_spread(
    times: list[list[int]], limit: int, oldest_first: bool
) -> None:
    every = sorted((at for shard in times for at in shard), reverse=not oldest_first)
    assert found(Index(times), limit, oldest_first=oldest_first) == every[:limit]


def test_evenly_spread_records_are_read_little_further_than_is_needed() -> None:
    index = Index(EVEN)
    found(index, 1_000)
    assert sum(index.__dict__["read"]) < 1_500


OUTPUTS: dict[str, str] = {Output.TABLE: "events", Output.BUCKET: "bucket"}


def test_a_stream_has_every_record_once_the_newest_first_and_reads_little_ahead() -> None:
    index = Index(EVEN)
    query = RecordQuery(statuses=("failed", "dead"), since=0, until=10**9, limit=1)
    streamed = records.stream(index, OUTPUTS, query, shards=10)

    first = [next(streamed) for _ in range(100)]

    # Each record is under both statuses, as one whose status changes meanwhile: the later one is the newer
    assert {r["status"] for r in first} == {"dead"}
    assert sum(index.__dict__["read"]) < 2 * 10 * 400
    rest = list(streamed)
    assert [r["timestamp"] for r in [*first, *rest]] == list(range(9_999, -1, -1))
    assert "status_shard" not in first[0]


def test_a_stream_takes_the_queries_that_a_list_takes() -> None:
    with pytest.raises(UsageError, match="not a status"):
        next(records.stream(Index([[1]]), OUTPUTS, RecordQuery(statuses=("x",), since=0, until=1, limit=1), shards=1))
    with pytest.raises(UsageError):
        next(records.stream(Index([[1]]), OUTPUTS, RecordQuery(since=2, until=1, limit=1), shards=1))
