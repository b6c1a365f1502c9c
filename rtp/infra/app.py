"""The CDK app: reads a Plan from stdin and writes a cloud assembly to the plan's folder.

Runs in a child interpreter (`python -m rtp.infra.app`), because importing aws_cdk starts Node.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rtp.infra.extension import ExtensionError
from rtp.infra.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_cdk import App

FAILED = 3
"""Exit status where the last line on stderr is the cause, as a text for the user."""
EXTENSION_FAILED = 4
"""As FAILED, where the cause is in the user's own file."""

# Only the CDK CLI reads cdk.json, and rtp runs the app itself, so the feature flags are set here.
FLAGS = {
    "@aws-cdk/aws-apigateway:disableCloudWatchRole": True,
    "@aws-cdk/aws-apigateway:requestValidatorUniqueId": True,
    "@aws-cdk/aws-apigateway:usagePlanKeyOrderInsensitiveId": True,
    "@aws-cdk/aws-codedeploy:removeAlarmsFromDeploymentGroup": True,
    "@aws-cdk/aws-events:eventsTargetQueueSameAccount": True,
    "@aws-cdk/aws-iam:standardizedServicePrincipals": True,
    "@aws-cdk/aws-kms:aliasNameRef": True,
    "@aws-cdk/aws-lambda:recognizeLayerVersion": True,
    "@aws-cdk/aws-lambda:recognizeVersionProps": True,
    "@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy": True,
    "@aws-cdk/core:checkSecretUsage": True,
    "@aws-cdk/core:target-partitions": ["aws", "aws-cn", "aws-us-gov"],
}


def assemble(plan: Plan) -> App:
    """Create the CDK app of a plan, ready to be synthesised."""
    from aws_cdk import App

    from rtp.infra.acknowledgements import acknowledge
    from rtp.infra.stack import RtpStack

    app = App(context=FLAGS, outdir=plan.out, analytics_reporting=False, tree_metadata=False)
    acknowledge(RtpStack(app, plan=plan), plan)
    return app


def build(plan: Plan) -> None:
    """Write the cloud assembly of a plan. Raises ExtensionError where the user's extension fails."""
    app = assemble(plan)
    if not plan.extend:
        app.synth()
        return
    from rtp.infra import extension, findings

    extended = extension.extend(app.node.find_child(plan.names.stack), plan)  # type: ignore[arg-type]
    extended.write(app, plan, findings.synthesise(app, plan, extended.paths))


def main(build: Callable[[Plan], None] = build) -> None:
    """Build, and on failure say why in one line."""
    try:
        build(Plan.loads(sys.stdin.read()))
    except ExtensionError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(EXTENSION_FAILED)
    except Exception as error:  # a traceback through jsii does not help a user; the log has it
        import traceback

        traceback.print_exc()
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        print(lines[0] if lines else type(error).__name__, file=sys.stderr)  # noqa: T201
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
