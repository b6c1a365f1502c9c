"""Calls of SQS for many messages: batches of ten, several at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from rtp.aws import queues
from rtp.errors import RtpError
from rtp.ops.work import pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rtp.aws import Aws
    from rtp.aws.queues import Message, Outgoing, Receipt

    _T = TypeVar("_T")
    _Result = TypeVar("_Result")

CONCURRENCY = 8


def receive(aws: Aws, url: str, *, visibility_s: int, count: int) -> list[Message]:
    """Receive by `count` calls at the same time. A message may be among them twice."""
    # A receive that waits asks all of SQS's servers; an emulator has one.
    wait_s = 0 if aws.consistent else 1

    def one(_: int) -> list[Message]:
        return queues.receive(aws, url, visibility_s=visibility_s, wait_s=wait_s)

    if count == 1:
        return one(0)
    return [m for messages in pool.map(one, range(count), threads=count) for m in messages]


def release(aws: Aws, url: str, receipts: Sequence[str]) -> None:
    """Make received messages visible at once. Tries every batch, and raises the last error of a whole call."""

    def one(some: list[str]) -> RtpError | None:
        try:
            queues.change_visibility(aws, url, some, 0)
        except RtpError as error:
            return error
        return None

    errors = [error for error in _each(one, receipts) if error is not None]
    if errors:
        raise errors[-1]


def delete(aws: Aws, url: str, receipts: Sequence[str]) -> tuple[set[str], RtpError | None]:
    """Delete messages. Returns the receipts of those that are certainly or possibly not deleted, and the last error."""

    def one(some: list[str]) -> tuple[list[str], RtpError | None]:
        try:
            return queues.delete(aws, url, some), None
        except RtpError as error:
            return some, error

    answers = _each(one, receipts)
    errors = [error for _, error in answers if error is not None]
    return {receipt for some, _ in answers for receipt in some}, errors[-1] if errors else None


def send(aws: Aws, url: str, messages: Sequence[Outgoing]) -> list[Receipt]:
    """Send messages. Returns a Receipt for each, in their order; an error of a whole call is that of its messages."""

    def one(some: list[Outgoing]) -> list[Receipt]:
        return queues.send(aws, url, some)

    return [receipt for receipts in _each(one, messages) for receipt in receipts]


def _each(function: Callable[[list[_T]], _Result], elements: Sequence[_T]) -> list[_Result]:
    batches = [list(elements[start : start + queues.BATCH]) for start in range(0, len(elements), queues.BATCH)]
    if len(batches) <= 1:
        return [function(batch) for batch in batches]
    return list(pool.map(function, batches, threads=min(CONCURRENCY, len(batches))))
