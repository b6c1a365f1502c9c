"""What CloudFormation's statuses mean, of a stack and of one of its resources. The only place that lists them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StackState:
    """One status of a stack, and what follows from it. `str()` is the status itself.

    busy: an operation is running. usable: no operation is running, and the stack can be updated.
    succeeded: the last operation did what was requested. rolled_back: it was undone, or is being undone.
    failed: the last operation ended half-way. paused: without a rollback, which can still be started.
    stuck: an update's rollback failed, and can be continued. delete_only: nothing but a deletion is accepted.
    in_review: there are only change sets. never_worked: no deploy has ever succeeded. deleted: it no longer exists.
    imported: its last operation was an import of resources.
    """

    status: str
    busy: bool = False
    usable: bool = False
    succeeded: bool = False
    rolled_back: bool = False
    failed: bool = False
    paused: bool = False
    stuck: bool = False
    delete_only: bool = False
    in_review: bool = False
    never_worked: bool = False
    deleted: bool = False
    imported: bool = False

    def __str__(self) -> str:
        return self.status

    @classmethod
    def of(cls, status: str) -> StackState:
        """The state of a status. One that is not in the table yet is judged by its ending."""
        state = STACK_STATES.get(status)
        return state or cls(status, busy=ResourceStatus(status).busy, failed=ResourceStatus(status).failed)


STACK_STATES = {
    state.status: state
    for state in (
        StackState("REVIEW_IN_PROGRESS", in_review=True, never_worked=True),
        StackState("CREATE_IN_PROGRESS", busy=True, never_worked=True),
        StackState("CREATE_FAILED", failed=True, paused=True, never_worked=True),
        StackState("CREATE_COMPLETE", usable=True, succeeded=True),
        StackState("ROLLBACK_IN_PROGRESS", busy=True, rolled_back=True, never_worked=True),
        StackState("ROLLBACK_FAILED", failed=True, rolled_back=True, delete_only=True, never_worked=True),
        StackState("ROLLBACK_COMPLETE", rolled_back=True, delete_only=True, never_worked=True),
        StackState("DELETE_IN_PROGRESS", busy=True),
        StackState("DELETE_FAILED", failed=True, delete_only=True),
        StackState("DELETE_COMPLETE", succeeded=True, deleted=True),
        StackState("UPDATE_IN_PROGRESS", busy=True),
        StackState("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", busy=True),
        StackState("UPDATE_FAILED", failed=True, paused=True),
        StackState("UPDATE_COMPLETE", usable=True, succeeded=True),
        StackState("UPDATE_ROLLBACK_IN_PROGRESS", busy=True, rolled_back=True),
        StackState("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", busy=True, rolled_back=True),
        StackState("UPDATE_ROLLBACK_FAILED", failed=True, rolled_back=True, stuck=True),
        StackState("UPDATE_ROLLBACK_COMPLETE", usable=True, rolled_back=True),
        StackState("IMPORT_IN_PROGRESS", busy=True),
        StackState("IMPORT_COMPLETE", usable=True, succeeded=True, imported=True),
        StackState("IMPORT_ROLLBACK_IN_PROGRESS", busy=True, rolled_back=True),
        StackState("IMPORT_ROLLBACK_FAILED", failed=True, rolled_back=True),
        StackState("IMPORT_ROLLBACK_COMPLETE", usable=True, rolled_back=True),
    )
}
DELETED = STACK_STATES["DELETE_COMPLETE"]


class ResourceStatus(str):
    """The status of a resource: text, with properties that say what it means."""

    __slots__ = ()

    @property
    def busy(self) -> bool:
        """CloudFormation is working on the resource."""
        return self.endswith("_IN_PROGRESS")

    @property
    def complete(self) -> bool:
        """The operation on the resource has succeeded."""
        return self.endswith("_COMPLETE")

    @property
    def failed(self) -> bool:
        """The operation on the resource failed."""
        return self.endswith("_FAILED")

    @property
    def never_created(self) -> bool:
        """It could not be created. A resource of its name that exists all the same is not the stack's."""
        return self == "CREATE_FAILED"

    @property
    def not_restored(self) -> bool:
        """An update, or the rollback of one, could not change or delete it."""
        return self in ("UPDATE_FAILED", "DELETE_FAILED")

    @property
    def of_update(self) -> bool:
        """It belongs to an update in place."""
        return self.startswith("UPDATE_")

    @property
    def deleted(self) -> bool:
        """It is deleted."""
        return self == "DELETE_COMPLETE"
