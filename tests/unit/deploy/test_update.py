"""Changing functions and event sources while Lambda is still busy with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rtp.commands.render.progress import outputs_views, result_views
from rtp.config import Environment
from rtp.errors import AwsError, RtpError, WaitTimeoutError
from rtp.ops.stack.build.synth import Assembly
from rtp.ops.stack.code import hotswap, update
from rtp.ops.stack.operation import Target
from rtp.ops.stack.steps import Outputs, Result
from rtp.ops.work.steps import drained
from rtp.text.elements import Fields, Line
from tests.clocks import FakeClock
from tests.unit.deploy.fakes import FakeAws

if TYPE_CHECKING:
    from pathlib import Path

NAME = "shop-dev-worker"


def busy(code: str) -> AwsError:
    return AwsError("an update is in progress", service_code=code)


class Lambda:
    """A function and an event source. states: what each reading says, the last of them for ever.

    refusals: errors of the next changes.
    """

    def __init__(self, *states: dict[str, Any], refusals: tuple[Exception, ...] = ()) -> None:
        self.states, self.refusals, self.changes = list(states), list(refusals), list[dict[str, Any]]()

    def aws(self) -> Any:
        changes = ("update_function_code", "update_function_configuration", "update_event_source_mapping")
        reads = ("get_function_configuration", "get_event_source_mapping")
        return FakeAws(dict.fromkeys(changes, self._change) | dict.fromkeys(reads, self._read))

    def _change(self, **params: Any) -> dict[str, Any]:
        if self.refusals:
            raise self.refusals.pop(0)
        self.changes.append(params)
        return {}

    def _read(self, **_: Any) -> dict[str, Any]:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


SUCCESSFUL = {"State": "Active", "LastUpdateStatus": "Successful"}
RUNNING = {"State": "Active", "LastUpdateStatus": "InProgress"}


def limits(service: Lambda, clock: FakeClock) -> None:
    update.limits(service.aws(), NAME, timeout_s=3, memory_mb=128, clock=clock.clock)


def test_an_update_that_runs_already_is_waited_for() -> None:
    # Given an update under way, and one that begins between our look and our call
    service = Lambda(RUNNING, RUNNING, SUCCESSFUL, refusals=(busy("ResourceConflictException"),))
    clock = FakeClock()
    limits(service, clock)
    assert len(service.changes) == 1
    assert len(clock.pauses) == 3


def test_a_failed_update_is_an_error_with_its_reason() -> None:
    failed = {"State": "Active", "LastUpdateStatus": "Failed", "LastUpdateStatusReason": "The key is disabled."}
    # Given a failure of an earlier update / Then only that of our own matters
    limits(Lambda(failed, SUCCESSFUL), FakeClock())
    with pytest.raises(RtpError, match="could not update shop-dev-worker: The key is disabled") as caught:
        limits(Lambda(SUCCESSFUL, RUNNING, failed), FakeClock())
    assert caught.value.code == "update-failed"


def test_the_waits_for_a_function_end_and_say_what_they_wait_for() -> None:
    with pytest.raises(WaitTimeoutError, match="An update of shop-dev-worker is still in progress after 180 s"):
        limits(Lambda(RUNNING), FakeClock())
    service = Lambda(SUCCESSFUL, refusals=(busy("ResourceConflictException"),) * 999)
    with pytest.raises(WaitTimeoutError, match="shop-dev-worker was still being changed by something else"):
        limits(service, FakeClock())


def switch(service: Lambda, *, on: bool = False) -> bool:
    return update.event_source(service.aws(), "u", on=on, clock=FakeClock().clock)


def test_an_event_source_in_use_is_switched_when_it_is_free() -> None:
    service = Lambda(
        {"State": "Enabling"}, {"State": "Disabling"}, {"State": "Disabled"}, refusals=(busy("ResourceInUseException"),)
    )
    assert switch(service) is True
    assert service.changes == [{"UUID": "u", "Enabled": False}]


def test_the_waits_for_an_event_source_end_and_say_what_they_wait_for() -> None:
    with pytest.raises(WaitTimeoutError, match="u was to become Disabled; after 180 s it is still Updating"):
        switch(Lambda({"State": "Updating"}))
    with pytest.raises(WaitTimeoutError, match="The event source u was still being changed"):
        switch(Lambda({"State": "Creating"}, refusals=(busy("ResourceInUseException"),) * 999))


def test_an_event_source_that_is_or_becomes_deleted_is_none() -> None:
    assert switch(Lambda({"State": "Deleting"})) is False
    assert switch(Lambda({}, refusals=(AwsError("no", service_code="ResourceNotFoundException"),))) is False


@pytest.mark.parametrize("state", ["Disabled", "Disabling", "Updating", "Creating"])
def test_an_event_source_that_ends_up_disabled_is_enabled(state: str) -> None:
    service = Lambda({"State": "Disabled"}, {"State": "Enabled"})
    if state in ("Disabled", "Disabling"):
        service.states.pop(0)
    aws = service.aws()
    aws.local = True
    aws.answers["list_event_source_mappings"] = lambda **_: {"EventSourceMappings": [{"UUID": "u", "State": state}]}
    (warning,) = hotswap.ensure_enabled(aws, "arn")
    assert "it is enabled again" in warning.message


def test_what_is_restored_is_named(tmp_path: Path) -> None:
    # Given a worker with other code and another timeout than were deployed
    properties = {"FunctionName": "shop-dev-worker", "Code": {"S3Key": "a.zip"}, "Timeout": 30, "MemorySize": 256}
    template = {"Resources": {"W": {"Type": "AWS::Lambda::Function", "Properties": properties}}}
    (tmp_path / "asset.a.zip").write_bytes(b"deployed")
    state = {
        "Timeout": 7,
        "MemorySize": 256,
        "CodeSha256": "other",
        "State": "Active",
        "LastUpdateStatus": "Successful",
    }
    function = Lambda(state)
    environment = Environment(name="dev", project="shop", root=tmp_path)
    target = Target(function.aws(), environment, paths={"W": "Processing/Worker"})
    built = Assembly(tmp_path, tmp_path / "t.json", template, cached=True)
    # When it is put back / Then both are restored, and the last line of the deploy names them
    assert drained(hotswap.put_back(target, built)) == (
        "code of Processing/Worker",
        "timeout and memory of Processing/Worker",
    )
    assert len(function.changes) == 2
    (last,) = result_views(Result("restored", "shop-dev", 2.0, 1, restored=("code of Processing/Worker",)))
    assert isinstance(last, Line)
    assert "".join(p.text for p in last.parts) == "restored shop-dev: code of Processing/Worker, in 2.0 s"


@pytest.mark.parametrize(
    ("changed", "shown"), [(("ApiUrl", "ApiId"), ["ApiUrl", "ApiId"]), (("ApiId",), ["ApiId"]), ((), None)]
)
def test_outputs_are_shown_where_they_are_new_or_changed(changed: tuple[str, ...], shown: list[str] | None) -> None:
    elements = outputs_views(Outputs({"ApiUrl": "u", "ApiId": "i"}, changed))
    assert (elements and [key for fields in elements if isinstance(fields, Fields) for key, _ in fields.pairs]) == shown


def test_without_the_right_to_read_a_function_a_deploy_warns(tmp_path: Path) -> None:
    template = {"Resources": {"W": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": NAME}}}}

    def denied(**_: Any) -> Any:
        raise AwsError("lambda get_function_configuration: not allowed", code="access-denied")

    aws: Any = FakeAws({"get_function_configuration": denied})
    target = Target(aws, Environment(name="dev", project="shop", root=tmp_path), paths={"W": "Processing/Worker"})
    built = Assembly(tmp_path, tmp_path / "t.json", template, cached=True)
    (warning,) = hotswap.put_back(target, built)
    assert warning.message == (
        "Whether Processing/Worker runs what was deployed was not checked or restored: "
        "lambda get_function_configuration: not allowed"
    )
