"""Who may call the API of a whole pipeline: each client's key, its rotation and revocation, addresses, signatures."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import logs
from rtp.contract import Names, Output
from rtp.local import engine as engines
from tests.local import deployments
from tests.local.conftest import Project
from tests.local.events.conftest import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = Names("realtime-processor", "local")
OPEN = '[env.local]\nallowed_cidrs = ["127.0.0.1/32"]\n'
SIGNED = '[env.local]\nauth = "iam"\n'
EVENT = json.dumps({"type": "order", "data": {}})


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A pipeline that takes calls from 127.0.0.1 alone."""
    made = Project(tmp_path_factory.mktemp("keys"))
    (made.root / "rtp.toml").write_text(OPEN)
    deployments.deploy(made)
    yield made
    engines.stop(made.root)


def post(project: Project, source: str = "127.0.0.1", **headers: str) -> tuple[int, dict[str, Any]]:
    """POST an event from an address of this machine, with these headers."""
    outputs = project.outputs
    connection = http.client.HTTPConnection("127.0.0.1", project.engine.port, 30, source_address=(source, 0))
    try:
        path = f"/_aws/execute-api/{outputs[Output.API_ID]}/{outputs[Output.API_STAGE]}/events"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", path, EVENT, {"Content-Type": "application/json", **named})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def create(project: Project, *words: str) -> dict[str, Any]:
    created: dict[str, Any] = project.rtp("keys", *words, "--yes", "--json").json
    return created


def accepted(project: Project, key: dict[str, Any]) -> bool:
    return post(project, x_api_key=key["value"])[0] == 202


def test_keys_from_the_first_to_the_last(guarded: Project) -> None:
    # Given: two clients, one with limits of its own
    first, other = create(guarded, "create", "partner"), create(guarded, "create", "small", "--daily-quota", "10")
    assert accepted(guarded, first) and accepted(guarded, other)
    # When: the first is rotated; Then: both of its keys are valid, and the list counts each alone
    second = create(guarded, "rotate", "partner")
    assert accepted(guarded, first) and accepted(guarded, second)
    rows = {row["id"]: row for row in guarded.rtp("keys", "list", "--json").json["keys"]}
    assert [rows[key["id"]]["state"] for key in (first, second, other)] == ["old", "active", "active"]
    assert rows[other["id"]]["limits"]["quota"] == 10 and rows[other["id"]]["own_limits"]
    assert rows[first["id"]]["used_today"] > rows[second["id"]]["used_today"] > 0
    # And: no value is in the list
    shown = guarded.rtp("keys", "list").stdout + guarded.rtp("keys", "list", "--json").stdout
    assert not any(key["value"] in shown for key in (first, second, other))

    # And: the access log names key and address, and `--finish` says that the old key is used
    def logged() -> bool:
        lines = [json.loads(m) for m in logs.messages(guarded.aws, NAMES.access_log_group, since=0, limit=1000)]
        return {"api_key_id": first["id"], "source_ip": "127.0.0.1"}.items() <= {
            k: v for line in lines if line["api_key_id"] == first["id"] for k, v in line.items()
        }.items()

    wait_for(logged, seconds=180)
    refused = guarded.rtp("keys", "rotate", "partner", "--finish", ok=False)
    assert refused.code == 5
    assert f"{first['id']}: used " in refused.stderr and "from 127.0.0.1" in refused.stderr
    assert accepted(guarded, first)
    # When: finished; Then: the old key is refused, the new one is not
    assert guarded.rtp("keys", "rotate", "partner", "--finish", "--yes", "--json").json["ids"] == [first["id"]]
    assert post(guarded, x_api_key=first["value"])[0] == 403
    assert accepted(guarded, second)
    # When: the other is revoked; Then: it is refused, and its usage plan is gone
    guarded.rtp("keys", "revoke", "small", "--yes")
    assert post(guarded, x_api_key=other["value"])[0] == 403
    plans = {plan["name"] for plan in guarded.aws.pages("apigateway", "get_usage_plans", "items")}
    assert plans == {NAMES.usage_plan}


def test_another_address_is_refused_with_a_valid_key(guarded: Project) -> None:
    key = create(guarded, "create", "moving")
    assert accepted(guarded, key)
    status, body = post(guarded, source="127.0.0.2", x_api_key=key["value"])
    assert (status, "address" in body["message"]) == (403, True)


@pytest.mark.long
def test_signatures_in_place_of_keys_and_a_destroy_that_leaves_no_key(guarded: Project) -> None:
    # Given: a key of the time before
    key = create(guarded, "create", "before", "--rate", "5")
    (guarded.root / "rtp.toml").write_text(SIGNED)
    guarded.rtp("deploy", "--yes")
    # Then: neither a key nor nothing admits, and `rtp send` signs
    for headers in ({}, {"x_api_key": key["value"]}):
        assert post(guarded, **headers)[0] == 403
    assert guarded.rtp("send", "--type", "order", "--data", "{}", "--json").json["status"] == "processed"
    assert guarded.rtp("keys", "create", "late", ok=False).code == 5
    # When: destroyed; Then: the plan names the keys, and API Gateway has none of them
    steps = guarded.rtp("destroy", "--yes", "--json").lines
    plan = next(step for step in steps if step["type"] == "plan")
    assert "realtime-processor-local-key-before" in {
        item["name"] for item in plan["goes"] if item["kind"] == "usage plan"
    }
    proof = next(step for step in steps if step["type"] == "proof")
    assert not [left for left in proof["left"] if not left["expected"]]
    for operation in ("get_api_keys", "get_usage_plans"):
        assert list(guarded.aws.pages("apigateway", operation, "items")) == []
