"""rtp deploy, diff and synth on the engine, through the real CLI."""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import buckets, changesets, functions, stacks
from rtp.contract import LOCAL_ACCOUNT, Output, own_bucket
from rtp.ops.access import lock
from rtp.ops.stack.code import update
from tests.local.deploy.conftest import PROCESSORS, SETTINGS, STACK

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.conftest import Project


def code(project: Project, function: str = "worker") -> str:
    found = project.aws.call("lambda", "get_function_configuration", FunctionName=f"{STACK}-{function}")
    return str(found["CodeSha256"])


def template(project: Project) -> dict[str, Any]:
    return stacks.template(project.aws, STACK)


def by_hand(project: Project, change: Any) -> None:
    """Somebody updates the stack past rtp."""
    changed = template(project)
    change(changed["Resources"])
    changesets.update_now(project.aws, STACK, json.dumps(changed))
    deadline = time.monotonic() + 180
    while (found := stacks.describe(project.aws, STACK)) and found.state.busy:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert found and str(found.state) == "UPDATE_COMPLETE", found


def test_the_first_deploy_is_a_stream_of_what_happens(project: Project) -> None:
    # Given an empty folder / When it is deployed
    deployed = project.rtp("deploy", "--json")
    # Then it is said which pipeline that is
    assert "no rtp.toml in this folder or a parent folder: this is the built-in pipeline" in " ".join(
        deployed.stderr.split()
    )
    # And the stream tells the change set, every resource, the outputs and the result
    lines = deployed.lines
    kinds = [line["type"] for line in lines]
    assert kinds[0] == "changeset" and kinds[-2:] == ["outputs", "result"]
    assert set(kinds) == {"changeset", "event", "outputs", "result"}
    plan, events, outputs, result = lines[0], lines[1:-2], lines[-2], lines[-1]
    assert (plan["operation"], plan["stack"]) == ("create", STACK)
    assert all(change["action"] == "add" for change in plan["changes"])
    assert (result["status"], result["resources"]) == ("created", len(plan["changes"]))
    done = [e for e in events if e["status"] == "CREATE_COMPLETE"]
    assert len(done) == len(plan["changes"]) and done[-1]["done"] == done[-1]["total"] == len(done)
    assert "Storage/Table" in {e["path"] for e in done}
    assert set(Output) <= set(outputs["outputs"]) == set(outputs["changed"])
    # And nobody was asked, since a first deploy to this machine puts nothing at risk
    project.rtp("destroy", "--yes")


@pytest.mark.long
def test_a_deploy_to_the_engine_is_the_one_that_the_cdk_cli_prepares(project: Project) -> None:
    # Given a protected pipeline that rtp has deployed by itself, and one that was deployed with the CDK CLI
    (project.root / "rtp.toml").write_text('owner = "Night"\n[env.local]\nprotected = true\n')
    found = []
    for slow in ("0", "1"):
        project.rtp("deploy", "--yes", "--json", env={"RTP_SLOW_PATHS": slow})
        found.append(_deployed(project))
        project.rtp("local", "stop")
        shutil.rmtree(project.root / ".rtp" / "local")
    # Then the two are the same
    assert found[0] == found[1]
    assert found[0]["EnableTerminationProtection"] and len(found[0]["assets"]) == 3


def _deployed(project: Project) -> dict[str, Any]:
    """What CloudFormation and the bucket of assets have of the deployed stack."""
    aws = project.aws
    (stack,) = aws.call("cloudformation", "describe_stacks", StackName=STACK)["Stacks"]
    for each in ("StackId", "CreationTime", "LastUpdatedTime", "Outputs"):
        stack.pop(each, None)
    keys = [o["Key"] for o in aws.call("s3", "list_objects_v2", Bucket=buckets.of_cdk(aws))["Contents"]]
    return {**stack, "template": template(project), "assets": keys}


def test_a_change_of_code_updates_the_functions_and_nothing_else(pipeline: Project) -> None:
    # Given a deployed pipeline / When its processors change
    (pipeline.root / "processors.py").write_text(PROCESSORS.replace("1}", "2}"))
    before = code(pipeline)
    lines = pipeline.rtp("deploy", "--json").lines
    # Then the functions are updated, without a question
    plan = next(line for line in lines if line["type"] == "changeset")
    assert {c["path"] for c in plan["changes"]} == {"Processing/Processor", "Processing/Worker"}
    assert {p["path"] for c in plan["changes"] for p in c["properties"]} == {"Code.S3Key"}
    assert lines[-1]["status"] == "updated"
    assert code(pipeline) != before
    # And a second deploy has nothing to do
    assert pipeline.rtp("deploy", "--json").lines[-1]["status"] == "unchanged"


@pytest.mark.long
def test_an_exchange_of_code_is_what_a_synthesis_would_have_written(pipeline: Project) -> None:
    # Given an assembly made by exchanging the code of an older one
    (pipeline.root / "processors.py").write_text(PROCESSORS.replace("1}", "3}"))
    exchanged = pipeline.rtp("synth", "--json").json
    kept = {f.name: f.read_bytes() for f in _files(pipeline.root / ".rtp/cdk/local")}
    # When the same is synthesised from nothing
    pipeline.rtp("synth", "--out", "fresh")
    fresh = {f.name: f.read_bytes() for f in _files(pipeline.root / "fresh")}
    # Then it is the same, file by file; only the ids of asset destinations, which name nothing, may differ
    assert exchanged["resources"] > 0
    assert set(kept) == set(fresh)
    for name in kept:
        if name.endswith("assets.json"):
            assert _entries(kept[name]) == _entries(fresh[name])
        elif name != "rtp.json":
            assert kept[name] == fresh[name], name


def _files(folder: Path) -> list[Path]:
    return [f for f in folder.iterdir() if f.is_file()]


def _entries(manifest: bytes) -> Any:
    files = json.loads(manifest)["files"]
    return {k: (v["source"], list(v["destinations"].values())) for k, v in files.items()}


def test_a_dry_run_shows_the_change_set_and_leaves_nothing(pipeline: Project) -> None:
    # Given a changed setting
    (pipeline.root / "rtp.toml").write_text(SETTINGS + "[defaults]\nmemory_mb = 256\n")
    before = template(pipeline)
    # When it is deployed dry
    lines = pipeline.rtp("deploy", "--dry-run", "--json").lines
    # Then the change set was shown, and neither the stack has changed nor a change set is left
    assert [line["type"] for line in lines] == ["changeset", "result"]
    paths = {p["path"] for c in lines[0]["changes"] for p in c["properties"]}
    assert paths == {"MemorySize", "Code.S3Key"}  # the functions' zip names the release, which settings are a part of
    assert lines[-1]["status"] == "dry-run"
    assert template(pipeline) == before
    assert pipeline.aws.call("cloudformation", "list_change_sets", StackName=STACK)["Summaries"] == []


def test_a_dry_run_of_a_first_deploy_leaves_no_stack(project: Project) -> None:
    lines = project.rtp("deploy", "--dry-run", "--json").lines
    assert lines[0]["operation"] == "create" and lines[-1]["status"] == "dry-run"
    assert stacks.describe(project.aws, STACK) is None


def test_diff_shows_a_change_until_it_is_deployed(pipeline: Project) -> None:
    # Given what is deployed is what there is / Then there is no difference
    assert pipeline.rtp("diff", "--fail", "--json").json["changes"] == []
    # When a setting changes
    (pipeline.root / "rtp.toml").write_text(SETTINGS + "[defaults]\nmax_receive_count = 7\n")
    # Then it is named with before and after, and --fail fails
    done = pipeline.rtp("diff", "--fail", "--json", ok=False)
    assert done.code == 1
    changes = {c["path"]: c for c in done.json["changes"]}
    (redrive,) = changes["Storage/Queue"]["properties"]
    assert (redrive["path"], redrive["before"], redrive["after"]) == ("RedrivePolicy.maxReceiveCount", 5, 7)
    shown = pipeline.rtp("diff").stdout
    assert "~ Storage/Queue" in shown and "RedrivePolicy.maxReceiveCount: 5 → 7" in shown
    # And it allows nothing new
    assert pipeline.rtp("diff", "--security-only", "--fail", "--json").json["widens"] == []


def test_manual_changes_are_reported_and_functions_are_restored(pipeline: Project) -> None:
    # Given somebody gave the worker another timeout
    name = f"{STACK}-worker"
    pipeline.aws.call("lambda", "update_function_configuration", FunctionName=name, Timeout=7)
    # When asked / Then the drift is named
    drift = pipeline.rtp("diff", "--drift", "--json").json["drift"]
    assert [(d["path"], d["properties"][0]["path"]) for d in drift] == [("Processing/Worker", "Timeout")]
    assert pipeline.rtp("diff", "--drift", "--fail", ok=False).code == 1
    # When deployed, though the templates are equal / Then it is put back, and said
    done = pipeline.rtp("deploy")
    assert "restored" in done.stderr
    found = pipeline.aws.call("lambda", "get_function_configuration", FunctionName=name)
    assert found["Timeout"] == 30


@pytest.mark.long
def test_a_deploy_enables_an_event_source_that_a_killed_destroy_disabled(pipeline: Project) -> None:
    # Given a worker that nothing feeds, though the templates are equal
    queue_arn = f"arn:aws:sqs:us-east-1:000000000000:{STACK}-queue"
    (source,) = functions.event_sources(pipeline.aws, queue_arn)
    update.event_source(pipeline.aws, source.id, on=False)
    # When it is deployed / Then it is said and set going
    assert "event source was disabled" in pipeline.rtp("deploy").stderr
    (source,) = functions.event_sources(pipeline.aws, queue_arn)
    assert source.state == "Enabled"
    assert "event source" not in pipeline.rtp("deploy").stderr


def test_widened_permissions_need_consent_and_are_refused_without_a_terminal(pipeline: Project) -> None:
    # Given a deployed role that allows less than the template
    def narrow(resources: dict[str, Any]) -> None:
        for resource in resources.values():
            for policy in resource.get("Properties", {}).get("Policies", ()):
                policy["PolicyDocument"]["Statement"] = policy["PolicyDocument"]["Statement"][:1]

    by_hand(pipeline, narrow)
    narrowed = template(pipeline)
    # When it is deployed and nobody can be asked
    done = pipeline.rtp("deploy", ok=False)
    # Then it is refused, with what it would allow, and nothing is left of it
    assert done.code == 5
    assert "allows more than before" in done.stderr and "Processing/WorkerRole" in done.stderr
    assert template(pipeline) == narrowed
    assert pipeline.aws.call("cloudformation", "list_change_sets", StackName=STACK)["Summaries"] == []
    assert pipeline.rtp("diff", "--security-only", "--fail", ok=False).code == 1
    # When consent is given / Then it goes through
    assert pipeline.rtp("deploy", "--yes", "--json").lines[-1]["status"] == "updated"


@pytest.mark.long
def test_replacing_a_resource_with_data_needs_consent(pipeline: Project) -> None:
    # Given a queue that was deployed under another name
    def rename(resources: dict[str, Any]) -> None:
        for resource in resources.values():
            if resource.get("Properties", {}).get("QueueName") == f"{STACK}-dlq":
                resource["Properties"]["QueueName"] = "another-dlq"

    by_hand(pipeline, rename)
    # When it is deployed and nobody can be asked / Then it is refused with what would be lost
    done = pipeline.rtp("deploy", ok=False)
    assert done.code == 5
    assert "Storage/DeadLetterQueue would be replaced" in done.stderr and "lost" in done.stderr
    lines = pipeline.rtp("deploy", "--dry-run", "--json").lines
    (lost,) = [c for c in lines[0]["changes"] if c["loses_data"]]
    assert (lost["action"], lost["path"]) == ("replace", "Storage/DeadLetterQueue")
    pipeline.rtp("deploy", "--yes")


def test_the_outputs_file_has_the_shape_of_the_cdks(pipeline: Project, tmp_path: Path) -> None:
    pipeline.rtp("deploy", "-O", tmp_path / "out.json")
    written = json.loads((tmp_path / "out.json").read_text())
    outputs = pipeline.rtp("outputs", "--json").json
    assert written == {STACK: {key: value for key, value in outputs.items() if key != "version"}}


def test_the_outputs_file_may_be_a_link_or_a_device(pipeline: Project, tmp_path: Path) -> None:
    # Given a link to a file, and a full device of this test's own, which root could replace
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "out.json")
    try:
        os.mknod(tmp_path / "full", stat.S_IFCHR | 0o666, os.makedev(1, 7))
    except PermissionError:
        os.mkfifo(tmp_path / "full")
    # When
    pipeline.rtp("deploy", "-O", tmp_path / "link")
    if stat.S_ISCHR((tmp_path / "full").stat().st_mode):
        done = pipeline.rtp("deploy", "-O", tmp_path / "full", ok=False)
        assert done.code == 1 and "No space left" in done.stderr
    else:
        with pipeline.start("deploy", "-O", tmp_path / "full") as deploy:
            assert STACK in json.loads((tmp_path / "full").read_text())
            assert deploy.wait(180) == 0
    # Then
    assert (tmp_path / "link").is_symlink()
    assert STACK in json.loads((tmp_path / "there" / "out.json").read_text())
    assert not (tmp_path / "full").is_file()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["full", "link", "out.json", "there"]


def test_an_outputs_file_that_cannot_be_written_is_an_error(pipeline: Project, tmp_path: Path) -> None:
    done = pipeline.rtp("deploy", "-O", tmp_path / "missing" / "out.json", ok=False)
    assert done.code == 1 and "cannot be written" in done.stderr and "Nothing was changed" in done.stderr


def test_a_smoke_event_is_processed(pipeline: Project) -> None:
    (pipeline.root / "processors.py").write_text(PROCESSORS.replace("1}", "4}"))
    lines = pipeline.rtp("deploy", "--smoke", "--json").lines
    (smoke,) = [line for line in lines if line["type"] == "smoke"]
    assert smoke["status"] == "processed"
    record = pipeline.rtp("records", "--type", "rtp.smoke", "--json").json["records"]
    assert smoke["id"] in [r["id"] for r in record]
    # When nothing is to be changed, and it is asked for / Then one is sent all the same
    lines = pipeline.rtp("deploy", "--smoke", "--json").lines
    assert lines[-1]["status"] == "unchanged" and "smoke" in [line["type"] for line in lines]


@pytest.mark.long
def test_a_smoke_event_that_fails_fails_the_command(pipeline: Project) -> None:
    # Given processors that break on every event of the smoke's type
    (pipeline.root / "rtp.toml").write_text(SETTINGS + "[defaults]\nmax_receive_count = 2\nbackoff_base_s = 0\n")
    (pipeline.root / "processors.py").write_text(
        PROCESSORS.replace('"n"', '"rtp.smoke"').replace('return {"version": 1}', 'raise RuntimeError("on fire")')
    )
    # When deployed with a smoke event / Then the deploy is done, and the command says what is wrong and where to look
    done = pipeline.rtp("deploy", "--smoke", ok=False)
    assert done.code == 1 and "on fire" in done.stderr and "rtp show" in done.stderr


IMPORT = "from rtp.runtime import processor\n"
# Source of processors.py -> what is said of it.
UNUSABLE = {
    "def broken(:\n": "processors.py:2",
    '@processor("n")\ndef one(event): ...\n@processor("n")\ndef two(event): ...\n': "'n' has a processor already",
    '@processor("n")\ndef none(): ...\n': "none",
    "import no_such_package\n": "no_such_package",
    "raise SystemExit(3)\n": "SystemExit",
}


@pytest.mark.long
def test_processors_that_could_not_run_are_found_before_anything_is_deployed(project: Project) -> None:
    (project.root / "rtp.toml").write_text(SETTINGS)
    for source, said in UNUSABLE.items():
        (project.root / "processors.py").write_text(f"{IMPORT}{source}")
        done = project.rtp("deploy", ok=False)
        assert done.code == 3 and said in done.stderr, done.stderr
        assert stacks.describe(project.aws, STACK) is None


@pytest.mark.long
def test_an_asset_folder_that_vanished_is_made_again(pipeline: Project) -> None:
    # Given the assets were cleaned away, the assembly with its template not
    for file in (pipeline.root / ".rtp" / "assets").iterdir():
        file.unlink()
    for file in (pipeline.root / ".rtp" / "cdk" / "local").glob("asset.*"):
        file.unlink()
    (pipeline.root / "processors.py").write_text(PROCESSORS.replace("1}", "5}"))
    # When deployed / Then it works
    assert pipeline.rtp("deploy", "--json").lines[-1]["status"] == "updated"


def test_two_deploys_at_once(pipeline: Project) -> None:
    with lock.held(pipeline.root / ".rtp", "local", "deploy"):
        done = pipeline.rtp("deploy", "--json", ok=False)
    assert done.code == 5
    assert done.lines[-1]["error"]["code"] == "locked" and "process" in done.lines[-1]["error"]["message"]


def test_a_deploy_from_another_machine_excludes_this_one(pipeline: Project) -> None:
    # Given a lease of another machine, in the bucket that the engine's first deploy has created
    aws, bucket = pipeline.aws, own_bucket(LOCAL_ACCOUNT, pipeline.aws.region)
    place = {"Bucket": bucket, "Key": f"leases/{STACK}.json"}
    theirs = {"user": "ann", "host": "laptop", "pid": 1, "machine": "another", "what": "deploy", "lasts_s": 3000}
    aws.call("s3", "put_object", Body=json.dumps(theirs).encode(), **place)
    try:
        # When this machine deploys or destroys, or removes the bucket / Then it is refused with the holder
        done = pipeline.rtp("deploy", "--json", ok=False)
        error = done.lines[-1]["error"]
        assert (done.code, error["code"]) == (5, "locked") and "`rtp deploy` of ann@laptop" in error["message"]
        assert pipeline.rtp("destroy", "--yes", ok=False).code == 5
        assert pipeline.rtp("bootstrap", "--remove", "--json", ok=False).json["error"]["code"] == "bucket-in-use"
        # And a dry run, which changes nothing, goes on
        assert pipeline.rtp("deploy", "--dry-run", "--json").lines[-1]["status"] in ("unchanged", "dry-run")
    finally:
        aws.call("s3", "delete_object", **place)
    # And after it has ended the deploy goes on, and leaves no lease behind
    assert pipeline.rtp("deploy", "--yes", "--json").lines[-1]["type"] == "result"
    assert not aws.call("s3", "list_objects_v2", Bucket=bucket, Prefix="leases/").get("Contents")
    # And the history has the refusal and the deploy
    listed = pipeline.rtp("history", "--limit", "4", "--json").json["entries"]
    assert {("deploy", "refused", "locked"), ("deploy", "succeeded", "")} <= {
        (e["command"], e["outcome"], e["error"]) for e in listed
    }
    shown = pipeline.rtp("history", "show", listed[0]["run"], "--json").json
    assert shown["command"] == "deploy" and shown["result"] == "unchanged" and shown["identity"]
    assert shown["release"] == pipeline.rtp("status", "--json").json["code"]["release"]


def test_synth_prints_the_template_or_writes_it(pipeline: Project, tmp_path: Path) -> None:
    assert "Resources" in pipeline.rtp("synth", "--stdout").json
    found = pipeline.rtp("synth", "--out", tmp_path / "a", "--json").json
    assert json.loads((tmp_path / "a" / f"{STACK}.template.json").read_text())["Resources"]
    assert found["template"].startswith(str(tmp_path))


def test_bootstrap_of_an_engine_is_done_once(pipeline: Project) -> None:
    found = pipeline.rtp("bootstrap", "--json").json
    assert found["account"] == "000000000000" and found["bootstrap_version"] >= 6 and found["changed"] is False
