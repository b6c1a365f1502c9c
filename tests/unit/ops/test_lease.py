"""The lease of the dead-letter queue: one operator at a time, and a dead one does not block its own machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from dataclasses import replace
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import leases
from rtp.aws.leases import Holder
from rtp.errors import AwsError, RefusedError
from rtp.ops.access import lease, process
from rtp.ops.access.lock import user
from rtp.ops.work.pool import Stop
from rtp.text import times
from tests.unit.ops.fakes import TABLE, FakeAws

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = platform.node()
RUNS: dict[str, Any] = {"pid": os.getpid(), "started": process.started(os.getpid())}


def holder(**more: Any) -> Holder:
    """A process of this machine that has ended."""
    now = times.now_ms()
    ended = Holder("t1", "ann", HERE, 4711, "dlq purge", now - 90_000, now + 30_000, process.machine(), "another time")
    return replace(ended, **more)


def elsewhere(**more: Any) -> Holder:
    """A process of another machine."""
    return holder(**{"host": "elsewhere", "machine": "another", **more})


def overtake(aws: FakeAws, other: Holder) -> None:
    """Another operator takes the lease, as it is now."""
    assert leases.take(aws, TABLE, lease.NAME, other, instead_of=leases.read(aws, TABLE, lease.NAME))


def held_by(other: Holder) -> FakeAws:
    aws = FakeAws()
    overtake(aws, other)
    return aws


def holder_of(aws: FakeAws) -> Holder | None:
    return leases.read(aws, TABLE, lease.NAME).holder


def plant(aws: FakeAws, **attributes: Any) -> None:
    """Write attributes of the lease as no rtp would; None removes one."""
    key = leases.key(lease.NAME)
    item = aws.items[key["id"]["S"], key["timestamp"]["N"]]
    item.update(attributes)
    for name in [name for name, value in attributes.items() if value is None]:
        del item[name]


def take(aws: FakeAws) -> None:
    with lease.held(aws, TABLE, "dlq redrive", Stop()):
        pass


def test_the_lease_of_a_dead_process_of_this_machine_is_taken_at_once() -> None:
    take(held_by(holder()))
    take(held_by(holder(pid=os.getpid())))  # another process has its number since


@pytest.mark.parametrize(
    "other",
    [holder(**RUNS), elsewhere(), elsewhere(host=HERE), holder(machine="")],
    ids=["of this machine", "of another machine", "of another machine of this name", "of an unidentified machine"],
)
def test_a_lease_that_may_run_is_respected(other: Holder) -> None:
    """A process id means nothing on another machine, nor in another container, which may have this one's name."""
    aws = held_by(replace(other, since=times.now_ms() - 90_000, until=times.now_ms() + 30_000))
    with pytest.raises(RefusedError) as caught:
        take(aws)
    assert caught.value.code == "locked"
    assert f"`rtp dlq purge` of ann@{other.host} (process {other.pid}, for 1m30s)" in caught.value.message
    assert holder_of(aws) is not None


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
    take(aws)


def test_of_two_that_replace_a_dead_holder_the_second_is_refused() -> None:
    # Given the lease of a dead process, and another command that replaces it first
    aws = held_by(holder())
    other = holder(token="t2", user="bob", pid=1)
    between(aws, "put_item", 1, lambda: overtake(aws, other))
    with pytest.raises(RefusedError) as caught:
        take(aws)
    assert f"of bob@{HERE}" in caught.value.message
    assert holder_of(aws) == other


def test_a_holder_that_has_gone_when_it_is_to_be_named_is_another_operator() -> None:
    aws = held_by(holder())

    def come_and_go() -> None:
        overtake(aws, holder(token="t2"))
        between(aws, "get_item", 1, lambda: leases.give_back(aws, TABLE, lease.NAME, "t2"))

    between(aws, "put_item", 1, come_and_go)
    with pytest.raises(RefusedError, match="in use by another operator;"):
        take(aws)


def test_a_lease_that_ends_later_than_rtp_writes_is_taken() -> None:
    left_ms = int(lease.LASTS_S * 1000)
    for until, is_taken in ((left_ms, False), (left_ms + 60_000, True), (10**12, True)):
        aws = held_by(elsewhere(until=times.now_ms() + until))
        if is_taken:
            take(aws)
            assert holder_of(aws) is None
        else:
            with pytest.raises(RefusedError, match="in use by"):
                take(aws)


HOSTILE: dict[str, dict[str, Any]] = {
    "no end": {"until": None},
    "an end that is text": {"until": {"S": "tomorrow"}},
    "an end of 38 digits": {"until": {"N": "9" * 38}},
    "an end beyond all times": {"until": {"N": "99999999999999"}},
    "an end before all times": {"until": {"N": "-5"}},
    "an end with an exponent": {"until": {"N": "1E+125"}},
    "an end with a fraction": {"until": {"N": "1.5"}},
    "a start beyond all times": {"since": {"N": str(10**19)}},
    "no start": {"since": None},
    "a list as user": {"user": {"L": [{"S": "ann"}]}},
    "no host": {"host": None},
    "binary": {"what": {"B": b"x"}},
    "null": {"holder": {"NULL": True}},
    "no token": {"holder": None},
    "a process beyond the system's": {"pid": {"N": str(2**40)}},
    "process 0": {"pid": {"N": "0"}},
}


@pytest.mark.parametrize("attributes", HOSTILE.values(), ids=HOSTILE)
def test_a_lease_that_rtp_did_not_write_is_named_with_the_command_that_deletes_it(attributes: dict[str, Any]) -> None:
    aws = held_by(holder())
    plant(aws, **attributes)
    before = dict(aws.items)
    with pytest.raises(RefusedError) as caught:
        take(aws)
    assert caught.value.code == "unreadable-lease"
    assert "`aws dynamodb delete-item --table-name=records --key='{" in caught.value.hint
    assert aws.items == before
    assert lease.current(aws, TABLE) is None


def test_a_command_that_rtp_does_not_have_is_not_printed() -> None:
    with pytest.raises(RefusedError) as caught:
        take(held_by(elsewhere(what="x; reboot")))
    assert "`rtp` of ann@elsewhere" in caught.value.message and "reboot" not in str(caught.value)


def test_only_the_clock_of_the_table_counts() -> None:
    # Given a machine whose clock is an hour behind, and another command's lease
    aws = FakeAws()
    ahead = 3600

    def dated(call: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        def answer(**params: Any) -> dict[str, Any]:
            headers = {"date": formatdate(time.time() + ahead, usegmt=True)}
            return {**call(**params), "ResponseMetadata": {"HTTPHeaders": headers}}

        return answer

    for name in ("_get_item", "_put_item"):
        setattr(aws, name, dated(getattr(aws, name)))
    now = times.now_ms() + ahead * 1000
    overtake(aws, elsewhere(until=now + 20_000))
    # Then it is respected, though it seems to end far too late, and what is taken ends by the table's clock
    with pytest.raises(RefusedError, match="in use by"):
        take(aws)
    leases.give_back(aws, TABLE, lease.NAME, "t1")
    with lease.held(aws, TABLE, "dlq redrive", Stop()):
        mine = holder_of(aws)
        assert mine is not None and abs(mine.until - now - lease.LASTS_S * 1000) < 20_000


def test_each_renewal_ends_by_the_tables_clock() -> None:
    # Given a machine whose clock is an hour behind the table's
    aws, ends = FakeAws(), list[int]()
    key = leases.key(lease.NAME)

    def fault(operation: str, when: str) -> None:
        if (operation, when) == ("put_item", "after"):
            ends.append(int(aws.items[key["id"]["S"], key["timestamp"]["N"]]["until"]["N"]))

    def answer(call: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        date = formatdate(time.time() + 3600, usegmt=True)
        return lambda **params: {**call(**params), "ResponseMetadata": {"HTTPHeaders": {"date": date}}}

    aws.fault = fault
    for name in ("_get_item", "_put_item"):
        setattr(aws, name, answer(getattr(aws, name)))
    expected = times.now_ms() + 3_600_000 + lease.LASTS_S * 1000
    with lease.held(aws, TABLE, "dlq redrive", Stop(), renew_s=0.01):
        while len(ends) < 3:
            time.sleep(0.001)
    assert all(abs(end - expected) < 20_000 for end in ends)


def test_a_lease_that_has_run_out_is_taken() -> None:
    take(held_by(elsewhere(until=times.now_ms() - 1)))


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
    assert holder_of(aws) is None


@pytest.mark.parametrize(
    ("other", "left_ms", "is_current"),
    [(elsewhere(), 30_000, True), (elsewhere(), -1, False), (holder(**RUNS), 30_000, True)],
    ids=["runs", "has run out", "of this process"],
)
def test_who_holds_it_now(other: Holder, left_ms: int, is_current: bool) -> None:
    other = replace(other, until=times.now_ms() + left_ms)
    assert lease.current(held_by(other), TABLE) == (other if is_current else None)


def test_a_process_that_has_ended_holds_nothing() -> None:
    process_ = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    aws = held_by(holder(pid=process_.pid, started=process.started(process_.pid)))
    assert lease.current(aws, TABLE) is not None
    process_.communicate(b"\n")
    assert lease.current(aws, TABLE) is None


def test_a_lease_that_another_took_ends_the_work_and_says_so() -> None:
    # Given a machine that slept past the lease's end, and another operator since
    aws, stop = FakeAws(), Stop()
    with (
        pytest.raises(RefusedError, match="`rtp dlq redrive` stopped before its end") as caught,
        lease.held(aws, TABLE, "dlq redrive", stop, renew_s=0.01),
    ):
        mine = holder_of(aws)
        assert mine is not None
        other = elsewhere(token="t2")
        overtake(aws, other)
        # Then the work is asked to end
        assert stop.drain.wait(30)
    assert caught.value.code == "lease-lost"
    assert "ann@elsewhere" in caught.value.message
    assert holder_of(aws) == other


def test_a_lease_that_another_took_and_gave_back_is_lost_all_the_same() -> None:
    aws, stop = FakeAws(), Stop()
    with (
        pytest.raises(RefusedError, match="went to another operator") as caught,
        lease.held(aws, TABLE, "dlq redrive", stop, renew_s=0.01),
    ):
        mine = holder_of(aws)
        assert mine is not None
        overtake(aws, holder(token="t2"))
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
        take(aws)
