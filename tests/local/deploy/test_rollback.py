"""Back to an earlier release: directly where only code differs, else by CloudFormation; without the project's code."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from rtp.aws import buckets, stacks
from rtp.errors import ExitCode
from tests.local.deploy.conftest import PROCESSORS, SETTINGS, STACK
from tests.local.deploy.test_deploy import code
from tests.local.watch.conftest import until

if TYPE_CHECKING:
    from tests.local.conftest import Project

EXTENSION = """
from aws_cdk import aws_sqs as sqs


def extend(pipeline):
    sqs.Queue(pipeline.stack, "Partner", encryption=sqs.QueueEncryption.SQS_MANAGED, enforce_ssl=True)
"""


def releases(pipeline: Project) -> list[dict[str, object]]:
    found: list[dict[str, object]] = pipeline.rtp("rollback", "--list", "--json").json["releases"]
    return found


def version(pipeline: Project) -> object:
    """What the deployed processor returns."""
    event = json.dumps({"type": "n", "data": {}})
    return pipeline.rtp("send", "-", "--json", stdin=event).json["result"]["version"]


def deploy(pipeline: Project, number: int, *args: str, settings: str = SETTINGS) -> str:
    """Deploy processors that return this version. Returns the release."""
    (pipeline.root / "rtp.toml").write_text(settings)
    (pipeline.root / "processors.py").write_text(PROCESSORS.replace("1}", f"{number}}}"))
    pipeline.rtp("deploy", "--yes", *args)
    return str(next(r["release"] for r in releases(pipeline) if r["runs"]))


def without_code(pipeline: Project) -> None:
    """Leave rtp.toml alone of the project, as on a machine without the repository."""
    (pipeline.root / "processors.py").unlink()
    for folder in ("assets", "cdk"):
        shutil.rmtree(pipeline.root / ".rtp" / folder)


def test_a_rollback_brings_the_code_of_the_release_before_without_the_repository(pipeline: Project) -> None:
    # Given two releases, and then no code
    first = deploy(pipeline, 40)
    sha, template = code(pipeline), stacks.template(pipeline.aws, STACK)
    second = deploy(pipeline, 41)
    assert code(pipeline) != sha and version(pipeline) == 41
    rows = releases(pipeline)
    assert [r["release"] for r in rows[:2]] == [second, first]
    assert [r["runs"] for r in rows[:2]] == [True, False] and rows[1]["is_default"]
    without_code(pipeline)
    # When the change is looked at / Then nothing is changed
    assert pipeline.rtp("rollback", "--dry-run", "--json").lines[-1]["status"] == "dry-run"
    assert version(pipeline) == 41
    # When it is rolled back
    done = pipeline.rtp("rollback", "--reason", "poisoned", "--json")
    # Then the functions run the first release, and CloudFormation does not know
    assert (done.lines[-1]["status"], done.lines[-1]["release"]) == ("hotswapped", first)
    assert code(pipeline) == code(pipeline, "processor") == sha and version(pipeline) == 40
    assert stacks.template(pipeline.aws, STACK) != template
    # And the history has it
    entry = pipeline.rtp("history", "--limit", "1", "--json").json["entries"][0]
    assert (entry["command"], entry["outcome"], entry["release"]) == ("rollback", "succeeded", first)
    assert entry["reason"] == "poisoned"
    assert next(r["release"] for r in releases(pipeline) if r["runs"]) == first
    # When the second release is named / Then it runs again, and once more changes nothing
    assert pipeline.rtp("rollback", second[:6]).stderr.count(f"runs {second}") == 1
    assert version(pipeline) == 41
    assert pipeline.rtp("rollback", second, "--json").lines[-1]["status"] == "unchanged"


@pytest.mark.long
def test_a_release_with_other_settings_is_reached_by_cloudformation(pipeline: Project) -> None:
    # Given a release whose functions have another size and may do more, and a CDK bucket that somebody has emptied
    table = "arn:aws:dynamodb:*:*:table/rates"
    allowed = f'[defaults]\npermissions = [{{ actions = ["dynamodb:GetItem"], resources = ["{table}"] }}]\n'
    first = deploy(pipeline, 50, settings=SETTINGS + allowed)
    template = stacks.template(pipeline.aws, STACK)
    deploy(pipeline, 50, settings=SETTINGS + "[defaults]\nmemory_mb = 640\n")
    assert stacks.template(pipeline.aws, STACK) != template
    aws = pipeline.aws
    bucket = buckets.of_cdk(aws)
    for batch in buckets.versions(aws, bucket):
        buckets.delete(aws, bucket, batch, lambda _: None)
    without_code(pipeline)
    # When it is rolled back without a consent to what it allows again / Then it is refused, as a deploy is
    asked = pipeline.rtp("rollback", "--json", ok=False)
    assert asked.code == ExitCode.REFUSED and "allows more than before" in asked.stdout + asked.stderr
    assert stacks.template(aws, STACK) != template
    # When it is rolled back / Then the stack has the first release's template, and its functions their code
    lines = pipeline.rtp("rollback", "--yes", "--json").lines
    assert (lines[-1]["status"], lines[-1]["release"]) == ("updated", first)
    changes = next(line for line in lines if line["type"] == "changeset")["changes"]
    assert any(p["path"] == "MemorySize" and p["after"] == 512 for c in changes for p in c["properties"])
    assert stacks.template(aws, STACK) == template and version(pipeline) == 50


@pytest.mark.long
def test_a_release_has_its_number_wherever_it_is_named_and_an_unchanged_deploy_makes_none(pipeline: Project) -> None:
    first = deploy(pipeline, 49)
    release = deploy(pipeline, 50)
    number = str(next(r["name"] for r in releases(pipeline) if r["release"] == release))
    pipeline.rtp("deploy", "--yes")
    assert [r["name"] for r in releases(pipeline) if r["release"] == release] == [number]
    event = json.dumps({"type": "n", "data": {}})
    sent = pipeline.rtp("send", "-", "--json", stdin=event).json["id"]
    assert f"release {number} ({release}" in pipeline.rtp("status").stdout
    listed = pipeline.rtp("history", "--limit", "2")
    assert number in listed.stdout and listed.stderr == ""
    assert number in pipeline.rtp("show", sent, "--wide").stdout
    found = pipeline.rtp("records", "--release", number, "--json").json["records"]
    assert sent in {record["id"] for record in found} and {record["release"] for record in found} == {release}
    assert pipeline.rtp("records", "--release", "r9999", ok=False).code == 2
    # And lines, traces and replays are selected by it too
    lines = until(lambda: pipeline.rtp("logs", "--release", number, "--id", sent, "--json").lines)
    assert {line["release"] for line in lines} == {release}
    assert pipeline.rtp("logs", "--release", first, "--id", sent, "--json").lines == []
    until(lambda: pipeline.rtp("traces", "--release", number, "--json").json["traces"])
    for name, count in ((number, 1), (first, 0)):
        planned = pipeline.rtp("replay", "--since", "1h", "--id", sent, "--release", name, "--dry-run", "--json").json
        assert len(planned["events"]) == count


@pytest.mark.long
def test_a_hotswapped_release_is_kept_and_left(pipeline: Project) -> None:
    # Given a release that a hotswap brought
    first = deploy(pipeline, 60)
    second = deploy(pipeline, 61, "--hotswap")
    assert version(pipeline) == 61
    # When it is rolled back, and back to it by a name with a number
    pipeline.rtp("rollback")
    assert version(pipeline) == 60
    name = next(str(r["name"]) for r in releases(pipeline) if r["release"] == second)
    pipeline.rtp("rollback", name)
    assert version(pipeline) == 61 and first != second


def test_a_rollback_that_would_delete_a_queue_is_refused(pipeline: Project) -> None:
    # Given a release that has added a queue
    deploy(pipeline, 70)
    (pipeline.root / "infra.py").write_text(EXTENSION)
    second = deploy(pipeline, 71, settings=SETTINGS + '[infra]\nextend = "infra.py"\n')
    # When it is rolled back
    done = pipeline.rtp("rollback", "--yes", "--json", ok=False)
    # Then it is refused, and nothing is changed
    assert done.code == ExitCode.REFUSED
    assert done.lines[-1]["error"]["code"] == "rollback-loses-data" and "Partner" in done.lines[-1]["error"]["message"]
    assert version(pipeline) == 71
    assert next(r["release"] for r in releases(pipeline) if r["runs"]) == second


@pytest.mark.long
def test_an_unknown_release_is_an_error_with_the_list(pipeline: Project) -> None:
    known = deploy(pipeline, 80)
    done = pipeline.rtp("rollback", "r9999", ok=False)
    assert done.code == ExitCode.NOT_FOUND and known in done.stderr and "nothing was changed" in done.stderr


@pytest.mark.long
def test_ten_releases_stay_and_destroy_says_so(pipeline: Project) -> None:
    first = deploy(pipeline, 90)
    for number in range(91, 101):
        deploy(pipeline, number, "--hotswap")
    rows = releases(pipeline)
    assert len(rows) == 10 and first not in {r["release"] for r in rows}
    lines = pipeline.rtp("destroy", "--yes", "--json").lines
    stays = next(line for line in lines if line["type"] == "plan")["stays"]
    assert any("templates and assets of 10 releases" in item["note"] for item in stays)
    # And the history outlives the stack, which destroy has said: the destroy is in it, and the hotswaps before it
    assert any("history of commands, also of this environment" in item["note"] for item in stays)
    assert any("records of drills, for 30 days" in item["note"] for item in stays)
    destroyed, hotswapped, *_ = pipeline.rtp("history", "--json").json["entries"]
    assert (destroyed["command"], destroyed["outcome"]) == ("destroy", "succeeded")
    assert (hotswapped["command"], hotswapped["result"]) == ("deploy", "hotswapped") and hotswapped["release"]
    assert hotswapped["arguments"]["hotswap"] is True
