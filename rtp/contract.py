"""The contract of the stack: resource names, output keys, tags, environment variables. Standard library only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Names:
    """Physical names of the resources of one environment. The stack is `{project}-{env}`."""

    project: str
    env: str

    @property
    def stack(self) -> str:
        """CloudFormation stack; the prefix of every other name."""
        return f"{self.project}-{self.env}"

    @property
    def key_alias(self) -> str:
        """KMS alias, with its prefix `alias/`."""
        return f"alias/{self.stack}-key"

    @property
    def table(self) -> str:
        """DynamoDB table of records."""
        return f"{self.stack}-table"

    @property
    def queue(self) -> str:
        """SQS queue that the worker processes."""
        return f"{self.stack}-queue"

    @property
    def dlq(self) -> str:
        """SQS dead-letter queue."""
        return f"{self.stack}-dlq"

    @property
    def topic(self) -> str:
        """SNS topic of alarms."""
        return f"{self.stack}-alerts"

    @property
    def processor(self) -> str:
        """Lambda function behind POST /process."""
        return f"{self.stack}-processor"

    @property
    def worker(self) -> str:
        """Lambda function that processes the queue."""
        return f"{self.stack}-worker"

    @property
    def emptier(self) -> str:
        """Lambda function that empties the buckets of an unprotected stack when the stack is deleted."""
        return f"{self.stack}-emptier"

    @property
    def notifier(self) -> str:
        """Lambda function that sends messages about groups of failures, where rtp.toml asks for them."""
        return f"{self.stack}-notifier"

    @property
    def api(self) -> str:
        """REST API."""
        return f"{self.stack}-api"

    @property
    def usage_plan(self) -> str:
        """Usage plan of the API key."""
        return f"{self.stack}-usage-plan"

    @property
    def api_key(self) -> str:
        """The stack's own API key, which rtp itself uses."""
        return f"{self.stack}-api-key"

    def client_key(self, name: str) -> str:
        """API key of one client, and the usage plan of a key with limits of its own."""
        return f"{self.stack}-key-{name}"

    @property
    def dashboard(self) -> str:
        """CloudWatch dashboard."""
        return f"{self.stack}-dashboard"

    def bucket(self, account: str, region: str) -> str:
        """S3 bucket of raw events and results."""
        return f"{self.stack}-{account}-{region}"

    def log_group(self, function: str) -> str:
        """CloudWatch log group of a function."""
        return f"/aws/lambda/{function}"

    @property
    def access_log_group(self) -> str:
        """CloudWatch log group of the API's access log."""
        return f"/aws/apigateway/{self.api}"

    @property
    def sampling_rule(self) -> str:
        """X-Ray sampling rule: of the stack's name at most 32 characters, the longest that X-Ray takes."""
        digest = hashlib.sha256(self.stack.encode()).hexdigest()[:8]
        return self.stack if len(self.stack) <= 32 else f"{self.stack[:23]}-{digest}"

    def alarm(self, alarm: Alarm) -> str:
        """CloudWatch alarm."""
        return f"{self.stack}-{alarm.value}"


class Alarm(StrEnum):
    """The alarms; the value is the last part of the alarm's name."""

    LAMBDA_ERRORS = "lambda-errors"
    LAMBDA_DURATION = "lambda-duration"
    LAMBDA_THROTTLES = "lambda-throttles"
    DLQ_MESSAGES = "dlq-messages"
    API_4XX = "api-4xx"
    API_5XX = "api-5xx"
    QUEUE_AGE = "queue-age"
    WORKER_FAILURES = "worker-failures"
    NOTIFIER_ERRORS = "notifier-errors"  # only where the stack has the notifier


# Alarms that indicate a bad version. Client errors and old DLQ messages must not trigger a rollback.
# CloudFormation takes at most five.
ROLLBACK_ALARMS = (
    Alarm.LAMBDA_ERRORS,
    Alarm.LAMBDA_DURATION,
    Alarm.LAMBDA_THROTTLES,
    Alarm.API_5XX,
    Alarm.WORKER_FAILURES,
)


class Output(StrEnum):
    """Keys of the stack's outputs. None is a secret: the API key's value is read with get-api-key."""

    API_URL = "ApiUrl"  # https://…/prod/ with the final slash; /process and /events are below it
    API_ID = "ApiId"
    API_STAGE = "ApiStage"
    API_AUTH = "ApiAuth"  # what the API wants of a caller: "key" or "iam"
    API_KEY_ID = "ApiKeyId"
    USAGE_PLAN_ID = "UsagePlanId"
    TABLE = "TableName"
    BUCKET = "BucketName"
    QUEUE_URL = "QueueUrl"
    DLQ_URL = "DlqUrl"
    TOPIC_ARN = "TopicArn"
    KEY_ARN = "KeyArn"
    PROCESSOR = "ProcessorName"
    WORKER = "WorkerName"
    DASHBOARD = "DashboardName"
    VERSION = "RtpVersion"


class Tag(StrEnum):
    """Tags of the stack and of every resource that takes tags. Project and Environment together name the owner."""

    ENVIRONMENT = "Environment"
    PROJECT = "Project"
    MANAGED_BY = "ManagedBy"
    OWNER = "Owner"


IAM = "iam"
"""Value of Output.API_AUTH where callers sign their requests."""
KEY_TAG = "rtp:key"
"""On an API key or usage plan that `rtp keys` has created: the name of the key."""


class FunctionEnv(StrEnum):
    """Environment variables of both functions without those of their settings; rtp/runtime/settings.py reads them."""

    PROJECT = "RTP_PROJECT"
    ENV = "RTP_ENV"
    TABLE = "RTP_TABLE"
    BUCKET = "RTP_BUCKET"
    QUEUE_URL = "RTP_QUEUE_URL"
    DLQ_URL = "RTP_DLQ_URL"
    PROCESSORS = "RTP_PROCESSORS"  # module or package name in the asset; empty: none
    SECRETS = "RTP_SECRETS"  # source of each secret, as JSON; missing: none. rtp/runtime/secrets.py reads it


class NotifierEnv(StrEnum):
    """Environment variables of the notifier besides PROJECT, ENV and TABLE; rtp/runtime/notifier.py reads them."""

    RETENTION = "RTP_DLQ_RETENTION_DAYS"
    COMMAND = "RTP_COMMAND"  # shows a group, whose id follows
    TOPIC = "RTP_TOPIC"  # ARN; missing: nothing to the topic
    WEBHOOK = "RTP_WEBHOOK"  # source of the secret with its address; missing: none


_PARTITIONS = {
    "cn-": "aws-cn",
    "eusc-": "aws-eusc",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "eu-isoe-": "aws-iso-e",
    "us-isof-": "aws-iso-f",
}


def partition(region: str) -> str:
    """Return the AWS partition of a region: the second part of its ARNs."""
    return next((name for prefix, name in _PARTITIONS.items() if region.startswith(prefix)), "aws")


def own_bucket(account: str, region: str) -> str:
    """Name of rtp's own bucket of an account and region, which `rtp bootstrap` makes."""
    return f"rtp-operations-{account}-{region}"


MANAGED_BY = "CDK"  # value of the tag
LOCAL_ACCOUNT = "000000000000"  # of every engine on this machine
STATUS_INDEX = "status-timestamp-index"  # partition key `status_shard` ("processed#3"), sort key `timestamp` (epoch ms)
PROCESSOR_HANDLER = "rtp.runtime.api.handler"
WORKER_HANDLER = "rtp.runtime.worker.handler"
# The handler's name is the version of the emptier, in the template and in Lambda: `handler`, of rtp 0.1.0, empties the
# buckets at every Delete.
EMPTIER_HANDLER = "rtp.runtime.emptier.guarded_handler"
NOTIFIER_HANDLER = "rtp.runtime.notifier.handler"
EMPTIER_TYPE = "Custom::EmptyBuckets"
EMPTY_TAG = "rtp:empty-on-delete"  # on a bucket: id of the stack that may empty it
MAX_SEED = 2**31 - 1  # of the local engine's weather, in rtp.toml and on the command line
MAX_SAVE_EVERY_S = 86_400  # between two saves of the local engine, likewise
API_STAGE = "prod"


def queue_arn(outputs: Mapping[str, str], name: str) -> str:
    """Return the ARN of a queue, in the partition, region and account of the stack's key."""
    _, partition_, _, region, account, _ = outputs[Output.KEY_ARN].split(":", 5)
    return f"arn:{partition_}:sqs:{region}:{account}:{name}"
