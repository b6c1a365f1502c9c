"""The resources that hold data: key, buckets, table, queue and dead-letter queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from rtp.contract import STATUS_INDEX
from rtp.runtime import wire

if TYPE_CHECKING:
    from rtp.infra.plan import Plan

_ATTRIBUTES_BYTES = 2 * 1024  # for message attributes, which count towards the size of a message
_LEFTOVER_DAYS = 7  # of noncurrent versions, unfinished uploads and a deleted key
OWN_BUCKETS = {"StringEquals": {"aws:ResourceAccount": Aws.ACCOUNT_ID}}
"""Who deletes a bucket leaves its name to everybody: a role may use none of this name in another account."""


class Storage(Construct):
    """Data, encrypted with a customer key and reachable over TLS only; retained where the environment is protected."""

    def __init__(self, scope: Construct, id: str, *, plan: Plan) -> None:
        super().__init__(scope, id)
        self._plan = plan
        self._removal = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if plan.protected else RemovalPolicy.DESTROY
        self.key = self._key()
        self.access_logs = self._access_logs()
        self.bucket = self._bucket()
        self.table = self._table()
        self.dlq, self.queue = self._queues()

    def _key(self) -> kms.Key:
        plan = self._plan
        key = kms.Key(
            self,
            "Key",
            alias=plan.names.key_alias,
            description=f"Data of {plan.names.stack}",
            enable_key_rotation=True,
            removal_policy=self._removal,
            pending_window=None if plan.protected else Duration.days(_LEFTOVER_DAYS),
        )
        # Unless CloudWatch may use the customer key of the topic, an alarm cannot publish to it, and fails silently.
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsToTopic",
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                conditions={
                    "StringEquals": {"aws:SourceAccount": plan.account},
                    "ArnLike": {"aws:SourceArn": plan.arn("cloudwatch", f"alarm:{plan.names.stack}-*")},
                },
            )
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="LogGroups",
                actions=["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
                resources=["*"],
                principals=[iam.ServicePrincipal(f"logs.{plan.region}.amazonaws.com")],
                conditions={
                    "ArnLike": {
                        "kms:EncryptionContext:aws:logs:arn": [
                            plan.arn("logs", f"log-group:/aws/lambda/{plan.names.stack}-*"),
                            plan.arn("logs", f"log-group:/aws/apigateway/{plan.names.stack}-*"),
                            plan.arn("logs", "log-group:API-Gateway-Execution-Logs_*"),
                        ]
                    }
                },
            )
        )
        return key

    def _access_logs(self) -> s3.Bucket:
        """The bucket of server access logs. S3 cannot deliver them to a bucket with a customer key."""
        return s3.Bucket(
            self,
            "AccessLogs",
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=self._removal,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="expire",
                    expiration=Duration.days(90),
                    noncurrent_version_expiration=Duration.days(_LEFTOVER_DAYS),
                    abort_incomplete_multipart_upload_after=Duration.days(_LEFTOVER_DAYS),
                )
            ],
        )

    def _bucket(self) -> s3.Bucket:
        plan = self._plan
        settings = plan.settings
        leftover = Duration.days(_LEFTOVER_DAYS)
        return s3.Bucket(
            self,
            "Bucket",
            bucket_name=plan.names.bucket(plan.account, plan.region),
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            bucket_key_enabled=True,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            server_access_logs_bucket=self.access_logs,
            server_access_logs_prefix="bucket/",
            removal_policy=self._removal,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="raw",
                    prefix=wire.RAW_PREFIX,
                    expiration=Duration.days(settings.raw_expiry_days),
                    noncurrent_version_expiration=leftover,
                    abort_incomplete_multipart_upload_after=leftover,
                ),
                s3.LifecycleRule(
                    id="processed",
                    prefix=wire.PROCESSED_PREFIX,
                    transitions=[
                        s3.Transition(
                            storage_class=s3.StorageClass.INFREQUENT_ACCESS,
                            transition_after=Duration.days(settings.processed_ia_days),
                        )
                    ],
                    noncurrent_version_expiration=leftover,
                    abort_incomplete_multipart_upload_after=leftover,
                ),
            ],
        )

    def _table(self) -> dynamodb.Table:
        plan = self._plan
        table = dynamodb.Table(
            self,
            "Table",
            table_name=plan.names.table,
            partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="timestamp", type=dynamodb.AttributeType.NUMBER),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES if plan.notified else None,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=self.key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=self._removal,
        )
        table.add_global_secondary_index(
            index_name=STATUS_INDEX,
            partition_key=dynamodb.Attribute(name="status_shard", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="timestamp", type=dynamodb.AttributeType.NUMBER),
            projection_type=dynamodb.ProjectionType.ALL,
        )
        return table

    def _queues(self) -> tuple[sqs.Queue, sqs.Queue]:
        plan = self._plan
        settings = plan.settings
        size = wire.MAX_BODY_BYTES + _ATTRIBUTES_BYTES
        dlq = sqs.Queue(
            self,
            "DeadLetterQueue",
            queue_name=plan.names.dlq,
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=self.key,
            data_key_reuse=Duration.minutes(5),
            enforce_ssl=True,
            retention_period=Duration.days(settings.dlq_retention_days),
            # What Lambda sends of a failed asynchronous invocation may be as large as SQS allows.
            max_message_size_bytes=wire.MAX_MESSAGE_BYTES,
            removal_policy=self._removal,
            # By name: a reference would be circular, because the queue's redrive policy refers to the DLQ.
            redrive_allow_policy=sqs.RedriveAllowPolicy(
                redrive_permission=sqs.RedrivePermission.BY_QUEUE,
                source_queues=[sqs.Queue.from_queue_arn(self, "QueueByName", plan.arn("sqs", plan.names.queue))],
            ),
        )
        queue = sqs.Queue(
            self,
            "Queue",
            queue_name=plan.names.queue,
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=self.key,
            data_key_reuse=Duration.minutes(5),
            enforce_ssl=True,
            retention_period=Duration.days(settings.queue_retention_days),
            # Well above the function's timeout, so that no retry starts while the first attempt runs.
            visibility_timeout=Duration.seconds(min(6 * settings.timeout_s, wire.MAX_VISIBILITY_SECONDS)),
            receive_message_wait_time=Duration.seconds(20),
            max_message_size_bytes=size,
            dead_letter_queue=sqs.DeadLetterQueue(queue=dlq, max_receive_count=settings.max_receive_count),
            removal_policy=self._removal,
        )
        return dlq, queue
