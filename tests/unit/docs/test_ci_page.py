"""The workflows of docs/ci.md and of `rtp init` have the schemas of GitHub and GitLab."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rtp.ops.scaffold_files import ci

PAGE = (Path(__file__).parents[3] / "docs" / "ci.md").read_text(encoding="utf-8")
CI = ci("order")
GITHUB, GITLAB = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
WORKFLOWS = {
    "deploy.yml": (GITHUB, "github-workflows"),
    "ci.yml": (CI, "github-workflows"),
    ".gitlab-ci.yml": (GITLAB, "gitlab-ci"),
}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_the_workflow_has_its_schema(name: str, tmp_path: Path) -> None:
    text, schema = WORKFLOWS[name]
    (tmp_path / name).write_text(text)
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(tmp_path / name)]
    if schema == "gitlab-ci":
        argv[3:3] = ["--data-transform", "gitlab-ci"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_trust_policies_are_json_and_name_one_audience_and_subject() -> None:
    for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL):
        (statement,) = json.loads(text)["Statement"]
        provider = statement["Principal"]["Federated"].partition("oidc-provider/")[2]
        assert set(statement["Condition"]["StringEquals"]) == {f"{provider}:aud", f"{provider}:sub"}


def test_jobs_have_no_stored_keys() -> None:
    assert "AWS_ACCESS_KEY_ID" not in GITHUB + GITLAB + CI
    assert "secrets." not in GITHUB + GITLAB + CI


def test_every_workflow_runs_commands_of_rtp() -> None:
    for text, _ in WORKFLOWS.values():
        assert len(commands(text)) >= 3


def commands(text: str) -> list[list[str]]:
    """The rtp commands of a workflow, as words."""
    lines = re.findall(r"^\s*- (?:run: )?(rtp .*?)(?:\s+#.*)?$", text, re.MULTILINE)
    return [shlex.split(line) for line in lines]
