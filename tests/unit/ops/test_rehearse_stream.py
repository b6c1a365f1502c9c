"""The first events of a large rehearsal run while the records of the others are read."""

from __future__ import annotations

from threading import Barrier, Event
from typing import TYPE_CHECKING, Any

from rtp.config import Overrides, environments
from rtp.ops.rehearse.rehearse import Allowed, rehearse
from rtp.ops.rehearse.selection import Request
from rtp.ops.work.pool import Stop
from tests.unit.ops.fakes import OUTPUTS, FakeAws

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHARDS, OF_SHARD, WAIT_S = 3, 120, 60
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
    assert (step.count, step.report().now_processed) == (1, 1)
    aws.seen.set()
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            assert (end.value.now_processed, end.value.more) == (SHARDS * OF_SHARD, False)
            break
