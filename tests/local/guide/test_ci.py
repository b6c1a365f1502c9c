"""The commands of docs/ci.md and of the workflow that `rtp init` writes, in their order, on the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rtp.local import engine as engines
from tests.unit.docs.test_ci_page import CI, GITHUB, GITLAB, commands

if TYPE_CHECKING:
    from tests.local.conftest import Project

# An engine in place of the account: what rtp.toml of a team has, and an address.
PROD = """
[env.prod]
account = "000000000000"
region = "us-east-1"
endpoint_url = "{url}"
"""


@pytest.mark.long
def test_every_command_of_the_workflows_runs(project: Project) -> None:
    project.rtp("init", ".")
    engine = engines.start(project.root)
    config = project.root / "rtp.toml"
    config.write_text(config.read_text().partition("[env.prod]")[0] + PROD.format(url=engine.endpoint_url))
    run = []
    for workflow in (CI, GITHUB, GITLAB):
        for words in commands(workflow):
            if words not in run:
                project.rtp(*words[1:])
                run.append(words)
    for role in ("reader", "operator", "deployer"):
        project.rtp("doctor", "--env", "prod", "--policy", role)
