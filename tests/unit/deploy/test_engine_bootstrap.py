"""The preparation of an engine waits for a stack that is not described at once."""

from __future__ import annotations

from typing import Any

from rtp.errors import AwsError
from rtp.ops.stack.build import bootstrap
from tests.unit.deploy.fakes import FakeAws


def test_a_stack_that_is_not_described_yet_is_waited_for() -> None:
    # Given CloudFormation, which describes a new stack only at the third request
    statuses = iter(["", "", "", "CREATE_IN_PROGRESS", "CREATE_COMPLETE"])

    def describe(**_: Any) -> dict[str, Any]:
        status = next(statuses)
        if not status:
            raise AwsError("Stack with id CDKToolkit does not exist", service_code="ValidationError")
        outputs = [{"OutputKey": "BootstrapVersion", "OutputValue": "21"}]
        return {"Stacks": [{"StackName": "CDKToolkit", "StackStatus": status, "Outputs": outputs}]}

    aws: Any = FakeAws({"describe_stacks": describe, "create_stack": lambda **_: {}})
    # When an engine is prepared / Then that is not taken for a failure
    done = bootstrap.ensure_on_engine(aws)
    assert (done.bootstrap_version, done.changed) == (21, True)
