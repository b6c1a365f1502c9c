"""The first events of a large rehearsal run while the records of the others are read, and few are in memory at once."""

from __future__ import annotations

import gc
from threading import Barrier, Event
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from rtp.config import Overrides, environments
from rtp.ops.rehearse.compare import Compared
from rtp.ops.rehearse.rehearse import Allowed, rehearse
from rtp.ops.rehearse.selection import Request
from rtp.ops.work.pool import Stop
from tests.unit.ops.fakes import OUTPUTS, FakeAws

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHARDS, OF_SHARD, WAIT_S = 3, 120, 60
MANY, PAGE, THREADS = 10_000, 1_000, 8  # of one shard; items of a page of DynamoDB; most threads of a rehearsal
SETTINGS = f"""
[defaults]
index_shards = {SHARDS}
[processors]
path = "processors.py"
"""
CODE = """
from rtp.runtime import processor

@processor("order")
def price(event):
    return {}
"""


class Index(FakeAws):
    """A table whose index has many dead records in each shard. Pages after the first wait until a result was seen."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.seen = Event(), Event()
        self.side_by_side = Barrier(SHARDS, timeout=WAIT_S)

    def _query(self, ExpressionAttributeValues: dict[str, Any], Limit: int = 0, **_: Any) -> dict[str, Any]:
        self.asked.set()
        return self.page(ExpressionAttributeValues[":s"]["S"], 0, Limit)

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """One API call."""
        answer = super().call(service, operation, **params)
        if operation == "query":
            self.side_by_side.wait()
        return answer

    def pages(self, service: str, operation: str, key: str, **params: Any) -> Iterator[Any]:
        """The other pages of a query."""
        assert (service, operation, key) == ("dynamodb", "query", "Items")
        assert self.seen.wait(WAIT_S), "another page was read before the first result"
        values = params["ExpressionAttributeValues"]
        yield from self.page(values[":s"]["S"], int(params["ExclusiveStartKey"]["n"]["N"]), 0)["Items"]

    def page(self, shard: str, start: int, limit: int) -> dict[str, Any]:
        """Items from one on, and where the next page begins."""
        from boto3.dynamodb.types import TypeSerializer

        end = min(OF_SHARD, start + limit) if limit else OF_SHARD
        items = [
            {"id": f"{shard}-{n}", "timestamp": 10_000 - n, "type": "order", "status": "dead", "data": {}}
            for n in range(start, end)
        ]
        packed = [{name: TypeSerializer().serialize(value) for name, value in item.items()} for item in items]
        return {"Items": packed} | ({"LastEvaluatedKey": {"n": {"N": str(end)}}} if end < OF_SHARD else {})


def test_progress_comes_first_then_results_of_a_part_of_the_records_then_the_others(tmp_path: Path) -> None:
    (tmp_path / "rtp.toml").write_text(SETTINGS)
    (tmp_path / "processors.py").write_text(CODE)
    environment, aws = environments.resolve(Overrides(), cwd=tmp_path, environ={}), Index()
    steps = rehearse(aws, OUTPUTS, environment, Request(limit=1_000), Allowed(), stop=Stop())
    # The first step needs neither AWS nor the processors
    assert (next(steps).now, aws.calls.total()) == ("packing the code", 0)
    # Records are asked for before the processors are imported
    assert next(steps).now == "importing the processors" and aws.asked.wait(WAIT_S)
    # A result is there before another page than the first is read
    step = next(steps)
    assert 1 <= step.count <= step.report().now_processed
    aws.seen.set()
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            assert (end.value.now_processed, end.value.more) == (SHARDS * OF_SHARD, False)
            break


class Marked(str):
    """A text that a weak reference can follow."""

    __slots__ = ("__weakref__",)
    __hash__ = object.__hash__
    __eq__ = object.__eq__


class Large(FakeAws):
    """A table with many dead records in one shard, of which the first run and others are under way."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: WeakSet[Marked] = WeakSet()
        self.most_alive, self.pages_read = 0, 0
        self.seen, self.ended = Event(), Event()

    def _query(self, ExpressionAttributeValues: dict[str, Any], Limit: int = 0, **_: Any) -> dict[str, Any]:
        assert ExpressionAttributeValues[":s"] == {"S": "dead#0"}
        items = list(self.items_of(0, Limit))
        return {"Items": items, "LastEvaluatedKey": {"n": {"N": str(Limit)}}}

    def pages(self, service: str, operation: str, key: str, **params: Any) -> Iterator[Any]:
        """The other pages of the query, each of which is read when its first item is asked for."""
        assert (service, operation, key, params["Limit"]) == ("dynamodb", "query", "Items", PAGE)
        assert self.seen.wait(WAIT_S), "a second page was read before the first result"
        for start in range(int(params["ExclusiveStartKey"]["n"]["N"]), MANY, PAGE):
            page = list(self.items_of(start, min(start + PAGE, MANY)))
            self.pages_read += 1
            self.most_alive = max(self.most_alive, len(self.alive))
            while page:
                yield page.pop(0)
        self.ended.set()

    def items_of(self, start: int, end: int) -> Iterator[dict[str, Any]]:
        """Items as DynamoDB has them."""
        for n in range(start, end):
            mark = Marked(f"mark {n}")
            self.alive.add(mark)
            busy = {} if n < THREADS else {"lease_until": {"N": str(10**13)}}
            yield {
                "id": {"S": f"e{n}"},
                "timestamp": {"N": str(100_000 - n)},
                "type": {"S": "order"},
                "status": {"S": "dead"},
                "data": {"M": {"mark": {"S": mark}}},
                **busy,
            }


def test_of_ten_thousand_events_the_first_result_is_there_before_the_second_page_and_few_are_in_memory(
    tmp_path: Path,
) -> None:
    (tmp_path / "rtp.toml").write_text(SETTINGS.replace(str(SHARDS), "1"))
    (tmp_path / "processors.py").write_text(CODE)
    environment, aws = environments.resolve(Overrides(), cwd=tmp_path, environ={}), Large()
    steps = rehearse(aws, OUTPUTS, environment, Request(limit=100_000), Allowed(), stop=Stop())
    # When progress is looked at until the first result / Then no other page was read
    while not (step := next(steps)).report().now_processed:
        pass
    assert (step.report().more, aws.pages_read) == (False, 0)
    # When nobody looks at it any more, until all were run / Then neither records nor results were kept
    aws.seen.set()
    assert aws.ended.wait(WAIT_S) and aws.pages_read == MANY // PAGE
    assert aws.most_alive <= PAGE + 100  # the first, smaller page is kept too
    assert sum(isinstance(each, Compared) for each in gc.get_objects()) <= 3 * THREADS
    # And what was found is whole
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            report = end.value
            break
    assert (report.now_processed, report.skipped) == (THREADS, {"being processed now": MANY - THREADS})
