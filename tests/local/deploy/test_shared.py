"""The pipeline that the other local tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.contract import Output

if TYPE_CHECKING:
    from tests.local.conftest import Project


def test_outputs_are_a_flat_object_with_every_promised_key(deployed: Project) -> None:
    # Given a deployed pipeline / When its outputs are read
    found = deployed.rtp("outputs", "--json").json
    # Then every key of the contract is there, as text, and no secret is among them
    assert set(Output) <= set(found)
    assert all(isinstance(value, str) for key, value in found.items() if key != "version")
    assert "ApiKey" not in found


def test_an_unchanged_deploy_is_reported_as_unchanged(deployed: Project) -> None:
    # Given a deployed pipeline / When it is deployed again, and once more
    deployed.rtp("deploy", "--yes")
    lines = deployed.rtp("deploy", "--yes", "--json").lines
    # Then nothing happened
    assert [line["type"] for line in lines] == ["outputs", "result"]
    assert lines[-1]["status"] == "unchanged"
