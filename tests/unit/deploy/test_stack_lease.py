"""The lease of a stack: two runs never have it at once, whatever S3 answers, and a killed one blocks for minutes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from rtp.errors import AwsError, CredentialsError, RefusedError
from rtp.ops.access import process, stack_lease
from rtp.ops.access.stack_lease import LASTS_S, Lease, granted
from rtp.ops.stack.operation import Operation, Stage
from rtp.ops.work.clock import Clock
from tests.unit.deploy.bucket import Bucket, lost, refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STACK = "shop-dev"
KEY = f"leases/{STACK}.json"
PATIENT = Clock(sleep=lambda _: None)


def lease(bucket: Bucket, what: str = "deploy") -> Lease:
    aws: Any = bucket.aws()
    return Lease(aws, STACK, what, PATIENT)


def acquired(bucket: Bucket) -> Lease:
    taken = lease(bucket)
    taken.acquire()
    return taken


def of_another(bucket: Bucket, **more: Any) -> None:
    """Another machine's lease, written at this moment of S3's clock."""
    values = {
        "token": "theirs",
        "user": "ann",
        "host": "laptop",
        "pid": 4711,
        "started": "1",
        "machine": "another",
        "what": "destroy",
        "since": int((bucket.now - 95) * 1000),
        "lasts_s": int(LASTS_S),
        **more,
    }
    bucket.objects[KEY] = (json.dumps(values).encode(), f'"{values["token"]}"', bucket.now)


def refused(bucket: Bucket) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        lease(bucket).acquire()
    return caught.value


def test_the_refusal_names_holder_start_end_and_ci_job() -> None:
    bucket = Bucket()
    of_another(bucket, job="https://github.com/acme/shop/actions/runs/17")
    error = refused(bucket)
    assert error.code == "locked" and error.exit_code == 5
    assert "`rtp destroy` of ann@laptop (process 4711) since " in error.message
    assert "https://github.com/acme/shop/actions/runs/17" in error.message and "its lease ends at " in error.hint
    # And nothing of the other's lease was changed
    assert bucket.objects[KEY][1] == '"theirs"'


def test_a_lease_is_free_again_after_its_release() -> None:
    bucket = Bucket()
    first = acquired(bucket)
    refused(bucket)
    first.release()
    assert bucket.objects == {}
    acquired(bucket)


def test_a_killed_run_blocks_the_others_until_its_lease_ends_by_the_clock_of_s3() -> None:
    bucket = Bucket()
    of_another(bucket)
    bucket.now += LASTS_S - 1
    refused(bucket)
    bucket.now += 2
    acquired(bucket)


def test_renewals_keep_a_lease() -> None:
    bucket = Bucket()
    ours = acquired(bucket)
    for _ in range(3):
        bucket.now += LASTS_S - 1
        assert ours.renew()
        refused(bucket)


def test_a_dead_process_of_this_machine_blocks_nobody() -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    started = process.started(dead.pid)
    dead.wait()
    bucket = Bucket()
    of_another(bucket, machine=process.machine(), pid=dead.pid, started=started or "1", host="any name")
    acquired(bucket)


def test_a_process_that_runs_here_is_respected_and_a_reused_process_id_is_not() -> None:
    bucket, me = Bucket(), os.getpid()
    of_another(bucket, machine=process.machine(), pid=me, started=process.started(me))
    refused(bucket)
    of_another(bucket, machine=process.machine(), pid=me, started="another time")
    acquired(bucket)


def test_a_process_of_an_unidentified_machine_is_respected(tmp_path: Path) -> None:
    assert process.machine(tmp_path) == ""
    bucket = Bucket()
    of_another(bucket, machine="", pid=1, started="1")
    refused(bucket)


def test_a_zombie_has_ended(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    stat = tmp_path / "7" / "stat"
    stat.write_text("7 (a ) b) S " + " ".join(map(str, range(30))))
    assert process.started(7, tmp_path) == "18"
    stat.write_text("7 (a ) b) Z " + " ".join(map(str, range(30))))
    assert process.started(7, tmp_path) == ""


@pytest.mark.parametrize("operation", ["put_object", "delete_object"])
def test_an_answer_that_was_lost_after_the_write_is_no_refusal(operation: str) -> None:
    # Given S3 that carries out a request whose answer is lost, so that botocore repeats it and gets 412 or 404
    bucket = Bucket(lose={operation})
    ours = acquired(bucket)
    assert ours.renew()
    # Then the lease is this run's, and it can release it
    ours.release()
    assert bucket.objects == {} and not bucket.lose


def test_a_renewal_whose_answer_was_lost_is_recognised() -> None:
    bucket = Bucket()
    ours = acquired(bucket)
    bucket.lose = {"put_object"}
    assert ours.renew() and ours.renew()
    ours.check()
    bucket.lose = {"put_object"}
    assert ours.renew()
    ours.release()
    assert bucket.objects == {}


def once(bucket: Bucket, operation: str, act: Callable[[], object]) -> None:
    """Let something happen before the next call of this operation."""

    def before(name: str) -> None:
        if name == operation:
            bucket.before = lambda _: None
            act()

    bucket.before = before


def fails(error: AwsError) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "OperationAborted"])
def test_a_write_that_met_another_one_is_repeated(code: str) -> None:
    bucket = Bucket()
    once(bucket, "put_object", fails(refusal(code)))
    ours = acquired(bucket)
    once(bucket, "put_object", fails(refusal(code)))
    assert ours.renew()


def test_of_two_that_replace_an_ended_lease_one_gets_it() -> None:
    # Given an ended lease, which another run replaces between the look and the write
    bucket = Bucket()
    of_another(bucket, lasts_s=1)
    bucket.now += 60
    ours = lease(bucket)
    calls: list[str] = []

    def before(name: str) -> None:
        calls.append(name)
        if calls.count("put_object") == 2:
            of_another(bucket, token="third", user="eve")

    bucket.before = before
    # When this run replaces it too / Then the other has it
    with pytest.raises(RefusedError, match="of eve@laptop"):
        ours.acquire()


def test_an_ended_lease_that_its_owner_renews_in_between_is_not_taken() -> None:
    """Each renewal has another ETag."""
    bucket = Bucket()
    theirs = acquired(bucket)
    bucket.now += LASTS_S + 1
    ours, calls = lease(bucket), list[str]()

    def before(name: str) -> None:
        calls.append(name)
        if calls.count("put_object") == 2:
            bucket.before = lambda _: None
            assert theirs.renew()

    bucket.before = before
    with pytest.raises(RefusedError, match="is being changed by"):
        ours.acquire()
    theirs.check()


def test_a_lost_lease_stops_the_run_before_its_next_change_and_is_not_deleted() -> None:
    # Given a run on a machine that slept, while another took its lease
    bucket = Bucket()
    operation = Operation(lease=acquired(bucket))
    of_another(bucket, user="eve")
    # When it asks CloudFormation for something / Then it does not
    with pytest.raises(RefusedError, match=r"went to `rtp destroy` of eve@laptop") as caught, operation.requesting():
        raise AssertionError("requested")
    assert caught.value.code == "lease-lost" and operation.stage is Stage.IDLE
    assert operation.lease is not None
    operation.lease.release()
    assert bucket.objects[KEY][1] == '"theirs"'


def test_a_lease_that_somebody_deleted_is_written_again() -> None:
    bucket = Bucket()
    ours = acquired(bucket)
    bucket.objects.clear()
    ours.check()
    assert KEY in bucket.objects


def test_a_few_seconds_without_s3_do_not_stop_a_deploy() -> None:
    bucket = Bucket()
    ours = acquired(bucket)
    bucket.before = lambda _: fails(lost())()
    ours.check()


def test_a_lease_that_is_read_back_is_as_old_as_its_last_write() -> None:
    # Given a lease past its end that is still there, and whose renewal met another run's write
    bucket = Bucket()
    ours = acquired(bucket)
    bucket.now += LASTS_S + 1
    once(bucket, "put_object", fails(refusal("ConditionalRequestConflict")))
    assert ours.renew()
    # When S3 then does not answer / Then nothing more is changed: the other may have it by now
    bucket.before = lambda _: fails(lost())()
    with pytest.raises(AwsError):
        ours.check()


HOSTILE = {
    "no UTF-8": b"\xff",
    "a list": b"[]",
    "deep": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "too large": b'{"user": "' + b"x" * 70_000 + b'"}',
    "other types": b'{"pid": "x", "lasts_s": 1e99, "user": 3}',
    **{f"{name} {value!r:.12}": {name: value} for name, value in (
        ("since", 10**30), ("since", -1), ("since", "yesterday"), ("since", 1.5), ("since", True),
        ("lasts_s", 10**12), ("lasts_s", -1), ("lasts_s", "300"), ("lasts_s", 0), ("lasts_s", None),
        ("pid", 10**400), ("pid", -1), ("pid", None), ("user", None), ("host", 7), ("what", []), ("job", {}),
    )},
}  # fmt: skip


@pytest.mark.parametrize("lease", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_lease_is_named_blocks_as_one_and_ends(lease: bytes | dict[str, Any]) -> None:
    bucket = Bucket()
    if isinstance(lease, bytes):
        bucket.objects[KEY] = (lease, '"x"', bucket.now)
    else:
        of_another(bucket, **lease)
    error = refused(bucket)
    assert error.code == "unreadable-lease" and KEY in error.message and "It ends at " in error.hint
    aws: Any = bucket.aws(list_objects_v2=lambda **_: {"Contents": [{"Key": KEY}, {"Key": "leases/"}, {"Key": "x"}]})
    assert ["a lease that rtp cannot read" in each for each in stack_lease.busy(aws)] == [True]
    bucket.now += LASTS_S + 1
    acquired(bucket)


def test_a_lease_ends_within_an_hour_whatever_it_says() -> None:
    bucket = Bucket()
    of_another(bucket, lasts_s=3600)
    bucket.now += 3599
    refused(bucket)
    bucket.now -= 3599
    bucket.now += 3601
    acquired(bucket)


def grant(bucket: Bucket, *, local: bool = False, **more: Any) -> stack_lease.Grant:
    aws: Any = bucket.aws(local=local, **more)
    with granted(aws, STACK, "deploy") as given:
        assert given.lease is None or KEY in bucket.objects
    assert bucket.objects == {}
    return given


def test_the_lease_lasts_for_the_block_alone() -> None:
    assert grant(Bucket()).lease is not None


def test_without_the_bucket_a_deploy_continues_with_a_note() -> None:
    given = grant(Bucket(exists=False))
    assert given.lease is None and not given.warning
    assert "rtp-operations-111122223333-us-east-1" in given.note and "`rtp bootstrap --bucket-only`" in given.note


def test_without_permission_a_deploy_continues_with_a_warning() -> None:
    bucket = Bucket(before=lambda _: fails(refusal("AccessDenied"))())
    given = grant(bucket)
    assert given.lease is None and "AccessDenied" in given.warning
    assert "`rtp doctor --policy=deployer`" in given.warning or "`rtp doctor --policy deployer`" in given.warning


@pytest.mark.parametrize(
    "error",
    [lost(), AwsError("slow", code="throttled"), CredentialsError("expired")],
    ids=["no answer", "throttled", "expired credentials"],
)
def test_where_nobody_can_know_who_has_it_nothing_is_changed(error: AwsError) -> None:
    aws: Any = Bucket(before=lambda _: fails(error)()).aws()
    with pytest.raises(type(error)), granted(aws, STACK, "deploy"):
        raise AssertionError("changed something")


def test_on_the_engine_the_bucket_is_created() -> None:
    bucket = Bucket(exists=False)

    def create(**_: Any) -> dict[str, Any]:
        bucket.exists = True
        return {}

    def head(**_: Any) -> dict[str, Any]:
        raise refusal("404")

    settings = (
        "put_public_access_block",
        "put_bucket_ownership_controls",
        "put_bucket_tagging",
        "put_bucket_encryption",
        "put_bucket_versioning",
        "put_bucket_lifecycle_configuration",
        "put_bucket_policy",
    )
    given = grant(bucket, local=True, create_bucket=create, head_bucket=head, **dict.fromkeys(settings, lambda **_: {}))
    assert given.lease is not None


def test_the_background_renews_it() -> None:
    import threading

    renewed = threading.Event()
    bucket = Bucket()
    aws: Any = bucket.aws()
    with granted(aws, STACK, "deploy", renew_s=0.01):
        bucket.before = lambda name: renewed.set() if name == "put_object" else None
        assert renewed.wait(180)
    assert bucket.objects == {}


def test_an_error_in_the_block_releases_the_lease() -> None:
    bucket = Bucket()
    aws: Any = bucket.aws()
    with pytest.raises(KeyboardInterrupt), granted(aws, STACK, "deploy"):
        raise KeyboardInterrupt
    assert bucket.objects == {}


def test_the_ci_job_is_named() -> None:
    github = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "acme/shop", "GITHUB_RUN_ID": "17"}
    assert stack_lease.job({"GITHUB_ACTIONS": "true", **github}) == "https://github.com/acme/shop/actions/runs/17"
    assert stack_lease.job({"GITHUB_ACTIONS": "true"}) == stack_lease.job(github) == ""
    assert stack_lease.job({"GITLAB_CI": "true", "CI_JOB_URL": "https://gitlab.com/j/1"}) == "https://gitlab.com/j/1"
