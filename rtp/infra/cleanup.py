"""Empties the buckets of an unprotected stack, so that a deletion from anywhere, also the console, leaves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Aws, CustomResource, Duration, Tags
from aws_cdk import aws_iam as iam
from constructs import Construct

from rtp.contract import EMPTIER_HANDLER, EMPTIER_TYPE, EMPTY_TAG
from rtp.infra.functions import Purpose, function
from rtp.infra.storage import OWN_BUCKETS

if TYPE_CHECKING:
    from aws_cdk import aws_s3 as s3

    from rtp.infra.plan import Plan
    from rtp.infra.processing import Processing
    from rtp.infra.storage import Storage

_TIMEOUT_S = 900


class Cleanup(Construct):
    """Empties the buckets while the whole stack is deleted, once nothing can write to them any more.

    The function deletes objects only while CloudFormation deletes the whole stack, and only in buckets with the tag
    that contains the stack's id. A protected environment's template has neither the function nor the tags.
    CloudFormation deletes the resources that depend on another one before that one. So the functions, and the policy
    that lets S3 deliver access logs, depend on the emptying; and the emptying depends on the buckets.
    The CDK's auto_delete_objects has neither that order nor a log group that is deleted with the stack.
    """

    def __init__(self, scope: Construct, id: str, *, plan: Plan, storage: Storage, processing: Processing) -> None:
        super().__init__(scope, id)
        buckets = (storage.bucket, storage.access_logs)
        for bucket in buckets:
            Tags.of(bucket).add(EMPTY_TAG, Aws.STACK_ID)
        emptier = function(
            self,
            "Emptier",
            plan=plan,
            key=storage.key,
            code=processing.code,
            purpose=Purpose(
                name=plan.names.emptier,
                about="Empties the buckets when the stack is deleted",
                handler=EMPTIER_HANDLER,
                timeout_s=_TIMEOUT_S,
                memory_mb=256,
                statements=_statements(buckets),
            ),
        )
        emptied = CustomResource(
            self,
            "Emptied",
            resource_type=EMPTIER_TYPE,
            service_token=emptier.function_arn,
            service_timeout=Duration.seconds(_TIMEOUT_S + 60),
            properties={"Buckets": [bucket.bucket_name for bucket in buckets], "Tag": EMPTY_TAG},
        )
        for each in processing.functions:
            each.node.add_dependency(emptied)
        if storage.access_logs.policy is not None:
            storage.access_logs.policy.node.add_dependency(emptied)


def _statements(buckets: tuple[s3.Bucket, ...]) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(sid="Status", actions=["cloudformation:DescribeStacks"], resources=[Aws.STACK_ID]),
        iam.PolicyStatement(
            sid="Tags",
            actions=["s3:GetBucketTagging"],
            resources=[bucket.bucket_arn for bucket in buckets],
            conditions=OWN_BUCKETS,
        ),
        iam.PolicyStatement(
            sid="List",
            actions=["s3:ListBucketVersions"],
            resources=[bucket.bucket_arn for bucket in buckets],
            conditions=OWN_BUCKETS,
        ),
        iam.PolicyStatement(
            sid="Empty",
            actions=["s3:DeleteObject", "s3:DeleteObjectVersion"],
            resources=[bucket.arn_for_objects("*") for bucket in buckets],
            conditions=OWN_BUCKETS,
        ),
    ]
