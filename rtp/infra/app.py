"""The CDK app. Runs in a child interpreter, since importing aws_cdk starts Node: a Plan on stdin, an assembly in its folder."""

from __future__ import annotations

import sys

from rtp.infra.plan import Plan

# cdk.json is read by the CDK CLI only, and rtp runs the app itself: the flags are given here.
FLAGS = {
    "@aws-cdk/aws-apigateway:disableCloudWatchRole": True,
    "@aws-cdk/aws-apigateway:requestValidatorUniqueId": True,
    "@aws-cdk/aws-apigateway:usagePlanKeyOrderInsensitiveId": True,
    "@aws-cdk/aws-iam:minimizePolicies": False,
    "@aws-cdk/aws-iam:standardizedServicePrincipals": True,
    "@aws-cdk/aws-kms:aliasNameRef": True,
    "@aws-cdk/aws-lambda:recognizeLayerVersion": True,
    "@aws-cdk/aws-lambda:recognizeVersionProps": True,
    "@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy": True,
    "@aws-cdk/aws-sns-subscriptions:restrictSqsDescryption": True,
    "@aws-cdk/core:checkSecretUsage": True,
    "@aws-cdk/core:target-partitions": ["aws", "aws-cn", "aws-us-gov"],
}


def build(plan: Plan) -> None:
    """Write the cloud assembly of plan."""
    from aws_cdk import App

    from rtp.infra.stack import RtpStack

    app = App(context=FLAGS, outdir=plan.out, analytics_reporting=False, tree_metadata=False)
    RtpStack(app, plan=plan)
    app.synth()


if __name__ == "__main__":
    build(Plan.loads(sys.stdin.read()))
