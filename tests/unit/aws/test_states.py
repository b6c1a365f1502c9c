"""What every status that CloudFormation documents means. botocore's model lists them, so a new one fails here."""

from __future__ import annotations

import pytest

from rtp.aws.states import DELETED, STACK_STATES, ResourceStatus, StackState
from rtp.runtime import emptier


def documented(shape: str) -> list[str]:
    import botocore.session

    model = botocore.session.Session().get_service_model("cloudformation")
    values: list[str] = model.shape_for(shape).enum  # type: ignore[attr-defined]  # a StringShape
    return values


STATUSES = documented("StackStatus")


def with_fact(fact: str) -> set[str]:
    return {status for status, state in STACK_STATES.items() if getattr(state, fact)}


def test_every_documented_status_has_its_state() -> None:
    assert set(STACK_STATES) == set(STATUSES)


@pytest.mark.parametrize("status", STATUSES)
def test_a_state_follows_its_status(status: str) -> None:
    state = StackState.of(status)
    assert str(state) == state.status == status
    # A stack in review is in progress by name only: nothing happens to it until somebody executes a change set
    assert state.busy is (status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS")
    assert state.failed is status.endswith("_FAILED")
    assert state.rolled_back is ("ROLLBACK" in status)
    assert state.succeeded is (status.endswith("_COMPLETE") and not state.rolled_back)


@pytest.mark.parametrize("status", STATUSES)
def test_each_state_has_one_way_on(status: str) -> None:
    state = StackState.of(status)
    ways = [state.busy, state.usable, state.paused, state.stuck, state.delete_only, state.in_review, state.deleted]
    # From a failed rollback of an import, CloudFormation offers no way that rtp could take
    assert sum(ways) == (0 if status == "IMPORT_ROLLBACK_FAILED" else 1)


def test_what_can_be_updated_has_worked() -> None:
    assert with_fact("usable") == {
        "CREATE_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_COMPLETE",
    }
    assert not with_fact("usable") & with_fact("never_worked")


def test_the_facts_of_single_statuses() -> None:
    assert with_fact("in_review") == {"REVIEW_IN_PROGRESS"}
    assert with_fact("paused") == {"CREATE_FAILED", "UPDATE_FAILED"}
    assert with_fact("stuck") == {"UPDATE_ROLLBACK_FAILED"}
    assert with_fact("delete_only") == {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}
    assert with_fact("deleted") == {str(DELETED)} == {"DELETE_COMPLETE"}
    assert with_fact("never_worked") == {
        "REVIEW_IN_PROGRESS",
        "CREATE_IN_PROGRESS",
        "CREATE_FAILED",
        "ROLLBACK_IN_PROGRESS",
        "ROLLBACK_FAILED",
        "ROLLBACK_COMPLETE",
    }


def test_a_status_of_the_future_is_judged_by_its_ending() -> None:
    assert StackState.of("REFACTOR_IN_PROGRESS") == StackState("REFACTOR_IN_PROGRESS", busy=True)
    assert StackState.of("REFACTOR_FAILED").failed and not StackState.of("REFACTOR_COMPLETE").usable


def test_the_emptier_in_the_stack_acts_only_while_a_stack_is_deleted() -> None:
    # The function is shipped without rtp.aws, so it has its own list
    states = [StackState.of(status) for status in emptier.DELETED_WHOLE]
    assert {str(s) for s in states} <= set(STATUSES) and all(s.busy for s in states)


@pytest.mark.parametrize("status", documented("ResourceStatus"))
def test_a_resource_is_in_progress_complete_failed_or_skipped(status: str) -> None:
    found = ResourceStatus(status)
    assert found.busy + found.complete + found.failed == (0 if status == "DELETE_SKIPPED" else 1)
    assert found.deleted is (status == "DELETE_COMPLETE") and found.never_created is (status == "CREATE_FAILED")
    assert found.not_restored is (status in ("UPDATE_FAILED", "DELETE_FAILED"))
    assert found == status and isinstance(found, str)
