"""What `extend(pipeline)` of the user's file gets: the pipeline's constructs, by name and with their types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aws_cdk import Stack
    from aws_cdk import aws_apigateway as apigateway
    from aws_cdk import aws_dynamodb as dynamodb
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_s3 as s3
    from aws_cdk import aws_sns as sns
    from aws_cdk import aws_sqs as sqs


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The environment that is built. prefix: `{project}-{env}`, the name of the stack and the start of other names.

    local: the local engine runs it, on which not every service exists.
    """

    name: str
    project: str
    prefix: str
    account: str
    region: str
    protected: bool
    local: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Functions:
    """processor: answers the API. worker: processes the queue's messages. A loop over it has both."""

    processor: lambda_.Function
    worker: lambda_.Function

    def __iter__(self) -> Iterator[lambda_.Function]:
        return iter((self.processor, self.worker))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The constructs of one pipeline. Create yours with `stack` as their scope.

    table: of records. bucket: of raw events and results. queue: that the worker processes; dlq: its dead-letter queue.
    key: encrypts all of them. topic: of alarms. Grants to `functions` reach their roles.
    """

    stack: Stack
    table: dynamodb.Table
    bucket: s3.Bucket
    queue: sqs.Queue
    dlq: sqs.Queue
    key: kms.Key
    topic: sns.Topic
    api: apigateway.RestApi
    functions: Functions
    environment: Place
