"""Emptying a stack's buckets and having it deleted, also where that is refused or broken off."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rtp.aws.resource_types import BUCKET
from rtp.config import Environment
from rtp.errors import AwsError, EndpointError
from rtp.ops.stack.operation import Operation, Stage, Target
from rtp.ops.stack.steps import Emptied
from rtp.ops.stack.teardown.destroy import Options, destroy
from rtp.ops.stack.teardown.empty import remove
from tests.unit.deploy.fakes import STACK, STACK_ID, Cloud, FakeAws, resource

GONE = [[(STACK, "DELETE_COMPLETE", "")]]


class Removal:
    """One removal, and how far it has got."""

    def __init__(self, aws: FakeAws, *names: str, protected: bool = False) -> None:
        self.operation = Operation()
        rows = [resource(n, n, BUCKET) for n in names]
        self.steps = remove(target(aws), self.operation, rows, frozenset(), protected=protected)


def target(aws: Any) -> Target:
    return Target(aws, Environment(name="dev", project="shop", root=Path()), STACK_ID)


def test_a_bucket_from_before_the_stack_is_not_emptied() -> None:
    # Given a stack whose bucket could not be created, since one of the name was kept
    cloud = Cloud(buckets={"kept": 10}, plan=[*GONE])
    aws: Any = cloud.aws()
    rows = [resource("Bucket", "kept", BUCKET, "CREATE_FAILED")]
    # When the stack is removed
    list(remove(target(aws), Operation(), rows, frozenset(), protected=False))
    # Then what was kept is whole
    assert cloud.left("kept") == 10


def test_protection_stays_until_the_buckets_are_empty() -> None:
    # Given a protected stack with objects
    cloud = Cloud(protected=True, buckets={"a": 2500}, plan=list(GONE))
    aws = cloud.aws()
    removal = Removal(aws, "a", protected=True)
    # When it is removed
    list(removal.steps)
    # Then protection is what goes last before the stack itself
    assert [
        n for n in aws.operations() if n in ("delete_objects", "delete_stack", "update_termination_protection")
    ] == [
        "delete_objects",
        "delete_objects",
        "delete_objects",
        "update_termination_protection",
        "delete_stack",
    ]
    operation = removal.operation
    assert operation.objects_deleted == 2500 and operation.deleted and operation.stage is Stage.DONE


@pytest.mark.parametrize(
    ("failure", "begun", "stage"),
    [
        (AwsError("no", code="access-denied"), False, Stage.IDLE),
        (EndpointError("Nothing answered"), True, Stage.REQUESTED),
        (KeyboardInterrupt(), True, Stage.REQUESTED),
    ],
)
def test_a_deletion_that_does_not_begin_leaves_the_stack_protected(
    failure: BaseException, begun: bool, stage: Stage
) -> None:
    # Given a protected stack that CloudFormation does not delete
    def delete(**_: Any) -> Any:
        raise failure

    cloud = Cloud(protected=True)
    removal = Removal(cloud.aws(delete_stack=delete), protected=True)
    # When it is to be removed
    with pytest.raises(type(failure)):
        list(removal.steps)
    # Then it is protected again, and only an answer that has not come leaves in doubt whether it is being deleted
    assert cloud.protected
    assert (removal.operation.deletion_begun, removal.operation.stage) == (begun, stage)


def test_an_error_stops_the_emptying_of_all_buckets_and_the_deleted_count_is_reported() -> None:
    # Given a bucket of a million objects, and one that may not be listed
    cloud = Cloud(protected=True, buckets={"large": 1_000_000})
    listed = threading.Event()

    def versions(*, Bucket: str, **given: Any) -> Any:
        if Bucket == "locked":
            listed.wait(10)
            raise AwsError("no", code="access-denied")
        listed.set()
        time.sleep(0.001)
        return cloud.versions(Bucket=Bucket, **given)

    aws = cloud.aws(list_object_versions=versions)
    removal = Removal(aws, "large", "locked", protected=True)
    # When they are emptied
    with pytest.raises(AwsError):
        list(removal.steps)
    # Then the large one is left as it is now, what went was counted, and the stack was not touched
    assert cloud.left("large") > 0
    assert removal.operation.objects_deleted == aws.operations().count("delete_objects") * 1000
    assert not removal.operation.deletion_begun and cloud.protected
    assert "delete_stack" not in aws.operations()


def test_an_interrupt_waits_only_for_running_calls() -> None:
    # Given a small bucket, and one of a million objects
    cloud = Cloud(buckets={"small": 1, "large": 1_000_000})

    def versions(*, Bucket: str, **given: Any) -> Any:
        time.sleep(0.001 if Bucket == "large" else 0)
        return cloud.versions(Bucket=Bucket, **given)

    removal = Removal(cloud.aws(list_object_versions=versions), "large", "small")
    # When the operator breaks off as the small one is empty
    assert any(isinstance(step, Emptied) for step in removal.steps)
    removal.steps.close()
    # Then the large one is not
    assert cloud.left("large") > 0
    assert removal.operation.objects_deleted >= 1 and not removal.operation.deletion_begun


@pytest.mark.parametrize("failing", ["delete_objects", "delete_stack", "update_event_source_mapping"])
@pytest.mark.parametrize("failure", [AwsError("no", code="access-denied"), KeyboardInterrupt()])
def test_a_destroy_that_deletes_nothing_leaves_the_stack_protected_and_its_event_source_enabled(
    tmp_path: Path, failing: str, failure: BaseException
) -> None:
    # Given a protected stack with a full bucket and an event source, and an AWS that fails at one call
    rows = [
        {"LogicalResourceId": n, "PhysicalResourceId": n, "ResourceType": kind, "ResourceStatus": "CREATE_COMPLETE"}
        for n, kind in (("bucket", BUCKET), ("source", "AWS::Lambda::EventSourceMapping"))
    ]
    cloud = Cloud(protected=True, buckets={"bucket": 10}, resources=rows)
    runs, failures = True, iter([failure])

    def switch(*, Enabled: bool, **_: Any) -> Any:
        nonlocal runs
        runs = Enabled
        return fail("update_event_source_mapping")

    def fail(operation: str) -> Any:
        error = next(failures, None) if operation == failing else None
        if error is not None:
            raise error
        return {}

    answers: dict[str, Any] = {
        "update_event_source_mapping": switch,
        "get_event_source_mapping": lambda **_: {"State": "Enabled" if runs else "Disabled"},
    }
    if failing != "update_event_source_mapping":
        answers[failing] = lambda **_: fail(failing)
    aws: Any = cloud.aws(**answers)
    env = Environment(name="dev", project="shop", root=tmp_path, endpoint_url="http://127.0.0.1:1")
    operation = Operation()
    # When it is destroyed
    with pytest.raises(type(failure)):
        list(destroy(aws, env, Options(), operation))
    # Then it is as protected as it was; and where it is not being deleted perhaps, its events are processed again
    assert cloud.protected
    in_doubt = failing == "delete_stack" and isinstance(failure, KeyboardInterrupt)
    assert (runs, operation.event_source_off, operation.deletion_begun) == (not in_doubt, in_doubt, in_doubt)
