"""A table's protection from deletion: on after a deploy that worked, off for a deletion that was consented to."""

from __future__ import annotations

from typing import Any

import pytest

from rtp.errors import AwsError
from rtp.ops.stack.apply import protection
from tests.clocks import FakeClock
from tests.unit.deploy.fakes import FakeAws


class Tables:
    """DynamoDB with one table. busy: how many updates it refuses while the table is being changed."""

    def __init__(self, *, protected: bool, busy: int = 0, denied: bool = False) -> None:
        self.protected, self.busy, self.denied = protected, busy, denied

    def aws(self) -> Any:
        return FakeAws({"describe_table": self.describe, "update_table": self.update})

    def describe(self, **_: Any) -> dict[str, Any]:
        if self.denied:
            raise AwsError("You may not call it.", service_code="AccessDeniedException")
        return {"Table": {"DeletionProtectionEnabled": self.protected}}

    def update(self, *, DeletionProtectionEnabled: bool, **_: Any) -> dict[str, Any]:
        if self.busy:
            self.busy -= 1
            raise AwsError("The table is being updated.", service_code="ResourceInUseException")
        self.protected = DeletionProtectionEnabled
        return {}


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("wanted", [True, False])
def test_a_deploy_brings_the_protection_to_what_the_environment_wants(before: bool, wanted: bool) -> None:
    tables = Tables(protected=before)
    aws = tables.aws()
    assert list(protection.ensure(aws, "t", on=wanted)) == []
    assert tables.protected is wanted
    assert ("update_table" in aws.operations()) is (before != wanted)


def test_a_table_that_is_being_changed_is_waited_for() -> None:
    tables, clock = Tables(protected=False, busy=3), FakeClock().clock
    assert list(protection.ensure(tables.aws(), "t", on=True, clock=clock)) == []
    assert tables.protected


@pytest.mark.parametrize("tables", [Tables(protected=False, busy=10**6), Tables(protected=False, denied=True)])
def test_what_cannot_be_switched_is_a_warning_and_no_failed_deploy(tables: Tables) -> None:
    (warning,) = protection.ensure(tables.aws(), "t", on=True, clock=FakeClock().clock)
    assert "deletion protection of t is still off" in warning.message


def test_a_deletion_lifts_it_and_passes_over_what_it_may_not_see() -> None:
    protected, denied = Tables(protected=True), Tables(protected=True, denied=True)
    assert protection.lift(protected.aws(), ["t"]) == ["t"]
    assert not protected.protected
    assert protection.lift(denied.aws(), ["t"]) == []
