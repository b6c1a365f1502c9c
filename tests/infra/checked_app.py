"""The CDK app as rtp builds it, with cdk-nag: what that finds makes the synthesis fail. Runs as a child."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.infra import app

if TYPE_CHECKING:
    from rtp.infra.plan import Plan


def build(plan: Plan) -> None:
    from aws_cdk import Validations
    from cdk_nag import AwsSolutionsChecks, ServerlessChecks

    checked = app.assemble(plan)
    Validations.of(checked).add_plugins(AwsSolutionsChecks(checked), ServerlessChecks(checked))
    checked.synth()


if __name__ == "__main__":
    app.main(build)
