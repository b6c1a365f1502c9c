"""cdk-nag's findings about the constructs of the user's extension; without cdk-nag there are none."""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aws_cdk import App

    from rtp.infra.plan import Plan

_REPORT = "validation-report.json"
# Functions that the CDK itself adds once a stack, for its custom resources: nobody can change them.
_OF_CDK = re.compile(r"(\w*[0-9a-f]{32}|Custom::\w+Provider|SingletonLambda\w+)(/|$)")


def installed() -> str:
    """The version of cdk-nag; empty where it is not installed."""
    try:
        return version("cdk-nag") if find_spec("cdk_nag") else ""
    except PackageNotFoundError:
        return ""


def synthesise(app: App, plan: Plan, paths: set[str]) -> list[dict[str, str]]:
    """Synthesise, and return the findings about the constructs of these paths: rule, path and description.

    With a finding the CDK writes the assembly and its report, and then raises an error.
    """
    if not installed():
        app.synth()
        return []
    from aws_cdk import Validations
    from cdk_nag import AwsSolutionsChecks, ServerlessChecks

    Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    report = Path(plan.out, _REPORT)
    try:
        app.synth()
    except RuntimeError:
        if not report.exists():
            raise
    if not report.exists():
        return []
    document = json.loads(report.read_text())
    report.unlink()
    return [
        {
            "rule": violation["ruleName"],
            "path": construct["constructPath"].removeprefix(f"{plan.names.stack}/").removesuffix("/Resource"),
            "description": violation["description"],
        }
        for plugin in document["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
        if construct["constructPath"] in paths
        and not _OF_CDK.match(construct["constructPath"].removeprefix(f"{plan.names.stack}/"))
    ]
