"""What scanners find: nothing that has not been looked at, and nothing is accepted that they do not find."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtp.infra import toolchain

if TYPE_CHECKING:
    from rtp.infra.plan import Plan
    from tests.infra.conftest import Template


# Rule -> the constructs it is accepted on. A change here is a review of its reason in acknowledgements.py.
_ROLES = ["Processing/ProcessorRole", "Processing/WorkerRole"]
_METHODS = ["Ingest/Api/Default/events/POST", "Ingest/Api/Default/process/POST"]
_FUNCTIONS = ["Processing/Processor", "Processing/Worker"]
EVERYWHERE = {
    "AwsSolutions-IAM5[Resource::<Bucket.Arn>/processed/*]": _ROLES,
    "AwsSolutions-IAM5[Resource::<Bucket.Arn>/raw/*]": _ROLES,
    "AwsSolutions-IAM5[Resource::*]": _ROLES,
    "AwsSolutions-APIG3": ["Ingest/Api/DeploymentStage.prod"],
    "AwsSolutions-APIG4": _METHODS,
    "AwsSolutions-COG4": _METHODS,
    "Serverless-LambdaDLQ": _FUNCTIONS,
    "Serverless-LambdaEventSourceMappingDestination": ["Processing/QueueToWorker"],
    "Serverless-LambdaStarPermissions": _ROLES,
    "Serverless-SQSRedrivePolicy": ["Storage/DeadLetterQueue"],
}
_OF_DEV = ["Cleanup/EmptierRole", "Notifier/FunctionRole"]
OF_DEV = {  # the emptier's and the notifier's
    "AwsSolutions-IAM5[Resource::<Bucket.Arn>/*]": ["Cleanup/EmptierRole"],
    "AwsSolutions-IAM5[Resource::<AccessLogs.Arn>/*]": ["Cleanup/EmptierRole"],
    "AwsSolutions-IAM5[Resource::*]": [*_ROLES, *_OF_DEV],
    "Serverless-LambdaDLQ": [*_FUNCTIONS, "Cleanup/Emptier", "Notifier/Function"],
    "Serverless-LambdaEventSourceMappingDestination": ["Notifier/StreamToNotifier", "Processing/QueueToWorker"],
    "Serverless-LambdaStarPermissions": [*_ROLES, *_OF_DEV],
}
OF_ROLLOUT = {
    "AwsSolutions-IAM5[Resource::<Processor.Arn>:*]": ["Rollout/Role"],
    "AwsSolutions-IAM5[Resource::<Worker.Arn>:*]": ["Rollout/Role"],
    "AwsSolutions-IAM5[Resource::*]": [*_ROLES, "Rollout/Role"],
    "AwsSolutions-IAM5[Resource::arn:aws:kms:us-east-1:111122223333:key/*]": _ROLES,  # limited by a condition
    "Serverless-SNSRedrivePolicy": ["Monitoring/Topic/oncall@example.com"],
}
WITHOUT_API_LOGS = {
    rule: ["Ingest/Api/DeploymentStage.prod"]
    for rule in ("AwsSolutions-APIG1", "AwsSolutions-APIG6", "Serverless-APIGWAccessLogging")
}
SKIPPED = {
    "CKV_AWS_76": {"ApiDeploymentStageprod"},  # without the API's logs
    "CKV_AWS_18": {"AccessLogs"},
    "CKV_AWS_111": {"ProcessorRole", "WorkerRole"},
    "CKV_AWS_115": {"Processor", "Worker", "Emptier", "Function"},
    "CKV_AWS_116": {"Processor", "Worker", "Emptier", "Function"},
    "CKV_AWS_117": {"Processor", "Worker", "Emptier", "Function"},
    "CKV_AWS_120": {"ApiDeploymentStageprod"},
}

_UNACKNOWLEDGED = """
from rtp.infra import acknowledgements
acknowledgements.nag = lambda plan: iter(())
from tests.infra import checked_app
checked_app.main()
"""
ACCEPTED = {"dev": EVERYWHERE | OF_DEV, "odd": EVERYWHERE | OF_ROLLOUT | WITHOUT_API_LOGS}


@pytest.fixture(scope="module")
def unacknowledged(
    templates: dict[str, Template], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """What the scanners report where nothing is acknowledged, by environment; one child builds all of them."""
    folder = tmp_path_factory.mktemp("unacknowledged")
    plans = [replace(templates[env].plan, out=str(folder / env)) for env in ACCEPTED]
    done = subprocess.run(
        [sys.executable, "-P", "-c", _UNACKNOWLEDGED],
        input="".join(f"{json.dumps(json.loads(plan.dumps()))}\n" for plan in plans),
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, **toolchain.environment(), **toolchain.bytecode()},
        check=False,
    )
    assert done.stdout.split() == ["1"] * len(plans), done.stderr
    return {env: json.loads((folder / env / "validation-report.json").read_text()) for env in ACCEPTED}


def test_cdk_nag_and_the_cdks_own_check_find_nothing(template: Template) -> None:
    # Given: AwsSolutions, Serverless and the check of templates that comes with the CDK have seen the app.
    # Then: each of them was content.
    assert template.report["status"] == 0
    assert [r for r in template.report["pluginReports"] if r["violations"]] == []


@pytest.mark.parametrize("env", ACCEPTED)
def test_exactly_these_findings_are_accepted(
    env: str, templates: dict[str, Template], unacknowledged: dict[str, dict[str, Any]]
) -> None:
    # The packs fail it, for the reviewed reasons and no other; so they do look, and no acknowledgement is stale.
    found = _findings(unacknowledged[env], templates[env].plan)
    assert found == {rule: sorted(paths) for rule, paths in ACCEPTED[env].items()}


@pytest.mark.parametrize(
    "envs", [("dev", "odd"), pytest.param(("local", "prod", "signed", "shut"), marks=pytest.mark.long)], ids=",".join
)
def test_cfn_lint_finds_no_error(templates: dict[str, Template], envs: tuple[str, ...]) -> None:
    chosen = [templates[env] for env in envs]
    files = [str(Path(t.plan.out) / f"{t.plan.names.stack}.template.json") for t in chosen]
    argv = [
        sys.executable,
        "-c",
        "from cfnlint.runner import main; main()",
        "--format",
        "json",
        "--regions",
        "us-east-1",
        "--",
        *files,
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240, check=False)
    findings = json.loads(done.stdout)
    # W3005: the L2s declare the dependency of a function on its role twice. It also shows that all files were read.
    assert {Path(f["Filename"]).name for f in findings} == {Path(file).name for file in files}
    assert [f for f in findings if f["Rule"]["Id"] != "W3005"] == []


def test_checkov_skips_only_reviewed_findings(template: Template) -> None:
    # Then: only the reviewed resources have skips, each with a reason.
    skipped: dict[str, set[str]] = {}
    for id, resource in template.body["Resources"].items():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            skipped.setdefault(skip["id"], set()).add(_short(id))
            assert len(skip["comment"]) > 20
    vpc = template.plan.vpc is not None
    without = {"CKV_AWS_117"} if vpc and not template.plan.emptied else set() if vpc else {"CKV_AWS_111"}
    if template.plan.settings.api_logs:
        without = without | {"CKV_AWS_76"}
    assert skipped.keys() == SKIPPED.keys() - without
    assert all(where <= SKIPPED[rule] for rule, where in skipped.items())


@pytest.mark.reliability
def test_checkov_finds_nothing_else(templates: dict[str, Template]) -> None:
    # 200 MB that only this test needs: uv installs it into its cache.
    from uv import find_uv_bin

    for template in templates.values():
        file = Path(template.plan.out) / f"{template.plan.names.stack}.template.json"
        argv = [find_uv_bin(), "tool", "run", "--python", sys.executable, "--from", "checkov==3.3.30", "checkov"]
        argv += ["-f", str(file), "--framework", "cloudformation", "--output", "json", "--skip-download"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=900, check=False)
        results = json.loads(done.stdout)["results"]
        assert [(c["check_id"], c["resource"]) for c in results["failed_checks"]] == []
        assert len(results["passed_checks"]) > 50
        stated = sum(
            len(r.get("Metadata", {}).get("checkov", {}).get("skip", [])) for r in template.body["Resources"].values()
        )
        assert len(results["skipped_checks"]) == stated


def _findings(report: dict[str, Any], plan: Plan) -> dict[str, list[str]]:
    paths_by_rule: dict[str, list[str]] = {}
    for plugin in report["pluginReports"]:
        for violation in plugin["violations"]:
            rule = violation["ruleName"]
            if "<" in rule:
                before, _, rest = rule.partition("<")
                id, _, after = rest.partition(".Arn")
                rule = f"{before}<{_short(id)}.Arn{after}"
            for construct in violation["violatingConstructs"]:
                path = construct["constructPath"].removeprefix(f"{plan.names.stack}/").removesuffix("/Resource")
                paths_by_rule.setdefault(rule, []).append(path)
    return {rule: sorted(paths) for rule, paths in paths_by_rule.items()}


def _short(id: str) -> str:
    name = id[:-8]
    for construct in ("Storage", "Processing", "Ingest", "Cleanup", "Notifier"):
        name = name.removeprefix(construct)
    return name
