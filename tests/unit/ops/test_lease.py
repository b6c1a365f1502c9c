"""The lease of the dead-letter queue: one operator at a time, and a dead one does not block its own machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import leases
from rtp.aws.leases import Holder
from rtp.errors import AwsError, RefusedError
from rtp.ops.access import lease
from rtp.ops.access.lock import user
from rtp.ops.work.pool import Stop
from rtp.text import times
from tests.unit.ops.fakes import TABLE, FakeAws

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = platform.node()


def holder(**more: Any) -> Holder:
    now = times.now_ms()
    return replace(Holder("t1", "ann", HERE, 4711, "dlq purge", now - 90_000, now + 30_000), **more)


def held_by(other: Holder) -> FakeAws:
    aws = FakeAws()
    assert leases.take(aws, TABLE, lease.NAME, other, now=times.now_ms())
    return aws


def take(aws: FakeAws, *, alive: bool) -> None:
    with lease.held(aws, TABLE, "dlq redrive", Stop(), alive=lambda _pid: alive):
        pass


def test_the_lease_of_a_dead_process_of_this_machine_is_taken_at_once() -> None:
    take(held_by(holder()), alive=False)


@pytest.mark.parametrize(
    ("host", "alive"),
    [(HERE, True), ("elsewhere", False), ("elsewhere", True)],
    ids=["of this machine", "of another's dead process", "of another machine"],
)
def test_a_lease_that_runs_is_respected(host: str, alive: bool) -> None:
    """A process id means nothing on another machine."""
    aws = held_by(holder(host=host))
    with pytest.raises(RefusedError) as caught:
        take(aws, alive=alive)
    assert caught.value.code == "locked"
    assert f"`rtp dlq purge` of ann@{host} (process 4711, for 1m30s)" in caught.value.message
    assert leases.holder(aws, TABLE, lease.NAME) is not None


def between(aws: FakeAws, operation: str, number: int, act: Callable[[], object]) -> None:
    """Let something happen before the call of this number to an operation, as another operator may do it."""
    calls: list[str] = []

    def fault(name: str, when: str) -> None:
        if (name, when) == (operation, "before"):
            calls.append(name)
            if len(calls) == number:
                aws.fault = lambda *_: None
                act()

    aws.fault = fault


def test_a_lease_that_ended_while_it_was_asked_for_is_taken() -> None:
    aws = held_by(holder())
    between(aws, "get_item", 1, lambda: leases.give_back(aws, TABLE, lease.NAME, "t1"))
    take(aws, alive=True)


def test_of_two_that_replace_a_dead_holder_the_second_is_refused() -> None:
    # Given the lease of a dead process, and another command that replaces it first
    aws = held_by(holder())
    other = holder(token="t2", user="bob", pid=1)

    def overtake() -> None:
        assert leases.take(aws, TABLE, lease.NAME, other, now=times.now_ms(), instead_of="t1")

    between(aws, "put_item", 2, overtake)
    with pytest.raises(RefusedError) as caught:
        take(aws, alive=False)
    assert f"of bob@{HERE}" in caught.value.message
    assert leases.holder(aws, TABLE, lease.NAME) == other


def test_a_holder_that_has_gone_when_it_is_to_be_named_is_another_operator() -> None:
    aws = held_by(holder())

    def overtake() -> None:
        leases.take(aws, TABLE, lease.NAME, holder(token="t2"), now=times.now_ms(), instead_of="t1")
        between(aws, "get_item", 1, lambda: leases.give_back(aws, TABLE, lease.NAME, "t2"))

    between(aws, "put_item", 2, overtake)
    with pytest.raises(RefusedError, match="in use by another operator;"):
        take(aws, alive=False)


def test_a_lease_that_has_run_out_is_taken() -> None:
    take(held_by(holder(host="elsewhere", until=times.now_ms() - 1)), alive=True)


def test_a_lease_is_given_back_also_after_a_failure() -> None:
    aws = FakeAws()
    with pytest.raises(ZeroDivisionError), lease.held(aws, TABLE, "dlq redrive", Stop()):
        mine = lease.current(aws, TABLE)
        assert mine is not None
        assert (mine.host, mine.pid, mine.what) == (HERE, os.getpid(), "dlq redrive")
        assert mine.user == user()
        assert 0 < mine.until - times.now_ms() <= lease.LASTS_S * 1000
        raise ZeroDivisionError
    assert lease.current(aws, TABLE) is None
    assert leases.holder(aws, TABLE, lease.NAME) is None


@pytest.mark.parametrize(
    ("host", "pid", "left_ms", "is_current"),
    [("elsewhere", 4711, 30_000, True), ("elsewhere", 4711, -1, False), (HERE, os.getpid(), 30_000, True)],
    ids=["runs", "has run out", "of this process"],
)
def test_who_holds_it_now(host: str, pid: int, left_ms: int, is_current: bool) -> None:
    other = holder(host=host, pid=pid, until=times.now_ms() + left_ms)
    assert lease.current(held_by(other), TABLE) == (other if is_current else None)


def test_a_process_that_has_ended_holds_nothing() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert lease.current(held_by(holder(pid=ended.pid)), TABLE) is None


def test_a_lease_that_another_took_ends_the_work_and_says_so() -> None:
    # Given a machine that slept past the lease's end, and another operator since
    aws, stop = FakeAws(), Stop()
    with (
        pytest.raises(RefusedError, match="`rtp dlq redrive` stopped before its end") as caught,
        lease.held(aws, TABLE, "dlq redrive", stop, renew_s=0.01),
    ):
        mine = leases.holder(aws, TABLE, lease.NAME)
        assert mine is not None
        other = holder(token="t2", host="elsewhere")
        assert leases.take(aws, TABLE, lease.NAME, other, now=times.now_ms(), instead_of=mine.token)
        # Then the work is asked to end
        assert stop.drain.wait(30)
    assert caught.value.code == "lease-lost"
    assert "ann@elsewhere" in caught.value.message
    assert leases.holder(aws, TABLE, lease.NAME) == other


def test_a_lease_that_another_took_and_gave_back_is_lost_all_the_same() -> None:
    aws, stop = FakeAws(), Stop()
    with (
        pytest.raises(RefusedError, match="went to another operator") as caught,
        lease.held(aws, TABLE, "dlq redrive", stop, renew_s=0.01),
    ):
        mine = leases.holder(aws, TABLE, lease.NAME)
        assert mine is not None
        leases.take(aws, TABLE, lease.NAME, holder(token="t2"), now=times.now_ms(), instead_of=mine.token)
        assert stop.drain.wait(180)
        leases.give_back(aws, TABLE, lease.NAME, "t2")
    assert caught.value.code == "lease-lost"


def test_two_renewals_that_fail_do_not_end_the_work() -> None:
    aws, stop = FakeAws(), Stop()
    renewals = []

    def fault(operation: str, when: str) -> None:
        if (operation, when) == ("put_item", "before"):
            renewals.append(operation)
            if len(renewals) in (2, 3):
                raise AwsError("dynamodb put_item: not now", service_code="ServiceUnavailable")

    aws.fault = fault
    with lease.held(aws, TABLE, "dlq redrive", stop, renew_s=0.01):
        while len(renewals) < 5:
            assert not stop.drain.wait(0.01)


def test_any_other_refusal_of_the_table_is_an_error() -> None:
    aws = FakeAws()

    def fault(operation: str, _when: str) -> None:
        if operation == "put_item":
            raise AwsError("dynamodb put_item: no", service_code="AccessDeniedException")

    aws.fault = fault
    with pytest.raises(AwsError):
        take(aws, alive=True)
