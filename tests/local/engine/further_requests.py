"""Further requests whose answers AWS gave, in further-aws-answers.json: one function a row, by the row's name."""

from __future__ import annotations

import json
from typing import Any

from tests.local.engine.conftest import eventually
from tests.local.engine.requests_of_aws import (
    REQUESTS,
    Bench,
    _dead,
    _events_at,
    _group,
    _group_name,
    _http,
    _mapping,
    _running,
    _table,
    alarm_message,
    case,
    entries,
)

__all__ = ["REQUESTS"]
FILTERED = {"General": "Kenobi", "Hello": "There", "Help.Me": "Me"}
TOPIC = {"Type": "AWS::SNS::Topic"}


def _attributes(values: dict[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}


REQUESTS |= {
    "receive 11 messages": lambda b: b.sqs("receive_message", MaxNumberOfMessages=11),
    "batch > 1 MiB": lambda b: b.sqs(
        "send_message_batch", Entries=[*entries(1), {"Id": "last", "MessageBody": "x" * 1_048_576}]
    ),
    "delete batch of 20": lambda b: b.sqs(
        "delete_message_batch", Entries=[{"Id": str(n), "ReceiptHandle": "x"} for n in range(20)]
    ),
    "attribute without a value": lambda b: b.sqs(
        "send_message", MessageBody="x", MessageAttributes=_attributes({"ErrorDetails": ""})
    ),
    "queue of two encryptions": lambda b: b.sqs(
        "set_queue_attributes", Attributes={"KmsMasterKeyId": "key", "SqsManagedSseEnabled": "true"}
    ),
    "DLQ whose ARN is none": lambda b: b.answer(
        "sqs",
        "create_queue",
        QueueName=f"{b.lab.name}-dummy",
        Attributes={"RedrivePolicy": '{"deadLetterTargetArn": "dummy", "maxReceiveCount": 42}'},
    ),
    "MD5 of attributes": lambda b: b.client("sqs").send_message(
        QueueUrl=b.queue(), MessageBody="msg", MessageAttributes=_attributes(FILTERED)
    )["MD5OfMessageAttributes"],
}


@case("queue that exists with another delay")
def _other_delay(b: Bench) -> Any:
    url = b.queue("delayed", DelaySeconds="1")
    return b.answer("sqs", "create_queue", QueueName=url.rpartition("/")[2], Attributes={"DelaySeconds": "2"})


@case("names of attributes to receive")
def _filters(b: Bench) -> Any:
    url = b.queue("filtered", VisibilityTimeout="0")
    b.client("sqs").send_message(QueueUrl=url, MessageBody="msg", MessageAttributes=_attributes(FILTERED))
    names: list[list[str]] = [[], ["All"], ["*"], [".*"], ["Foo", "Help"], ["Foo", "Hello"], ["Hel.*"], ["AWS."]]
    return {
        ",".join(some): sorted(
            b.client("sqs")
            .receive_message(QueueUrl=url, MessageAttributeNames=some)["Messages"][0]
            .get("MessageAttributes", {})
        )
        for some in names
    }


@case("move: destination gone")
def _no_destination(b: Bench) -> Any:
    dlq, arn = _dead(b, "unmoved", 1)
    return b.answer("sqs", "start_message_move_task", SourceArn=dlq, DestinationArn=f"{arn}-gone")


@case("move: cancel unknown source")
def _cancel_source(b: Bench) -> Any:
    import base64

    dlq, handle = _running(b)
    parsed = json.loads(base64.b64decode(handle))
    parsed = {name: f"{value}-gone" if value == dlq else value for name, value in parsed.items()}
    unknown = base64.b64encode(json.dumps(parsed).encode()).decode()
    return b.answer("sqs", "cancel_message_move_task", TaskHandle=unknown)


@case("move: destination deleted while RUNNING")
def _destination_deleted(b: Bench) -> Any:
    dlq, _ = _dead(b, "broken", 10)
    sqs, target = b.client("sqs"), b.queue("broken-to")
    sqs.start_message_move_task(SourceArn=dlq, DestinationArn=b.arn(target), MaxNumberOfMessagesPerSecond=1)
    sqs.delete_queue(QueueUrl=target)

    def look() -> Any:
        task = sqs.list_message_move_tasks(SourceArn=dlq)["Results"][0]
        return [sorted(task), task["Status"], task.get("FailureReason")] if task["Status"] != "RUNNING" else None

    return eventually(look)


UNKNOWN = "11111111-2222-3333-4444-555555555555"
REQUESTS |= {
    "esm: starting position of a queue": lambda b: b.answer(
        "lambda", "create_event_source_mapping", **_mapping(b, StartingPosition="LATEST")
    ),
    "esm: unknown": lambda b: b.answer("lambda", "get_event_source_mapping", UUID=UNKNOWN),
    "esm: update of an unknown one": lambda b: b.answer("lambda", "update_event_source_mapping", UUID=UNKNOWN),
    "logs: group exists": lambda b: b.answer("logs", "create_log_group", logGroupName=_group_name(b)),
    "logs: stream exists": lambda b: b.answer("logs", "create_log_stream", **_group(b)),
    "logs: put to no stream": lambda b: b.answer(
        "logs", "put_log_events", **{**_group(b), "logStreamName": "none"}, logEvents=_events_at(0)
    ),
    "logs: get limit 10001": lambda b: b.answer("logs", "get_log_events", **_group(b), limit=10001),
    "logs: prefix and pattern": lambda b: b.answer(
        "logs", "describe_log_groups", logGroupNamePrefix="a", logGroupNamePattern="a"
    ),
    "logs: too new is refused, named": lambda b: sorted(
        b.client("logs")
        .put_log_events(**_group(b), logEvents=_events_at(3 * 3_600_000))
        .get("rejectedLogEventsInfo", {})
    ),
    "logs: name of a group too long": lambda b: b.answer("logs", "create_log_group", logGroupName="x" * 513),
    "logs: keys of a group": lambda b: sorted(
        b.client("logs").describe_log_groups(logGroupNamePrefix=_group_name(b))["logGroups"][0]
    ),
}


@case("logs: keys of an empty stream")
def _stream_keys(b: Bench) -> Any:
    group = _group_name(b)
    b.client("logs").create_log_stream(logGroupName=group, logStreamName="empty")
    described = b.client("logs").describe_log_streams(logGroupName=group, logStreamNamePrefix="empty")
    return sorted(described["logStreams"][0])


def _stack(b: Bench) -> str:
    """A stack with one topic."""

    def make() -> str:
        name = f"{b.lab.name}-stack"
        b.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps({"Resources": {"T": TOPIC}}))
        assert eventually(lambda: _status(b, name) == "CREATE_COMPLETE")
        return name

    return str(b.once("stack", make))


def _status(b: Bench, name: str) -> Any:
    return b.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]


def _unchanged(b: Bench) -> dict[str, Any]:
    """A change set without changes, described."""

    def make() -> dict[str, Any]:
        cfn, template = b.client("cloudformation"), json.dumps({"Resources": {"T": TOPIC}})
        made = cfn.create_change_set(StackName=_stack(b), ChangeSetName="same", TemplateBody=template)

        def look() -> Any:
            described = cfn.describe_change_set(ChangeSetName=made["Id"])
            return described if described["Status"] == "FAILED" else None

        return dict(eventually(look))

    shared: dict[str, Any] = b.once("unchanged", make)
    return shared


REQUESTS |= {
    "cfn: change set without changes": lambda b: [
        _unchanged(b)[name] for name in ("Status", "ExecutionStatus", "StatusReason", "Changes")
    ],
    "cfn: execute a failed change set": lambda b: b.answer(
        "cloudformation", "execute_change_set", ChangeSetName=_unchanged(b)["ChangeSetId"]
    ),
    "cfn: delete a change set of no stack": lambda b: b.answer(
        "cloudformation", "delete_change_set", StackName="nostack", ChangeSetName="none"
    ),
    "cfn: resource that is no object": lambda b: b.answer(
        "cloudformation",
        "create_stack",
        StackName=f"{b.lab.name}-malformed",
        TemplateBody=json.dumps({"Resources": {"T": "AWS::SNS::Topic"}}),
    ),
    "cfn: change set that creates what exists": lambda b: b.answer(
        "cloudformation",
        "create_change_set",
        StackName=_stack(b),
        ChangeSetName="again",
        ChangeSetType="CREATE",
        TemplateBody=json.dumps({"Resources": {"T": TOPIC}}),
    ),
}


@case("cfn: change set that was deleted")
def _deleted_change_set(b: Bench) -> Any:
    cfn = b.client("cloudformation")
    template = json.dumps({"Resources": {"T": TOPIC, "U": TOPIC}})
    made = cfn.create_change_set(StackName=_stack(b), ChangeSetName="deleted", TemplateBody=template)["Id"]
    eventually(lambda: cfn.describe_change_set(ChangeSetName=made)["Status"] == "CREATE_COMPLETE")
    cfn.delete_change_set(ChangeSetName=made)
    answer = b.answer("cloudformation", "describe_change_set", ChangeSetName=made)
    return {**answer, "msg": answer.get("msg", "").replace(made, "<change set>")}


@case("ddb: table exists")
def _table_exists(b: Bench) -> Any:
    return b.answer(
        "dynamodb",
        "create_table",
        TableName=_table(b),
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )


@case("ddb: batch with another key")
def _other_key(b: Bench) -> Any:
    request = {"PutRequest": {"Item": {"key": {"S": "1"}}}}
    return b.answer("dynamodb", "batch_write_item", RequestItems={_table(b): [request]})


@case("ddb: batch of items that are not there")
def _nothing_there(b: Bench) -> Any:
    table = _table(b)
    answered = b.client("dynamodb").batch_get_item(RequestItems={table: {"Keys": [{"id": {"S": "none"}}]}})
    return {"Responses": list(answered["Responses"].values()), "UnprocessedKeys": answered["UnprocessedKeys"]}


@case("ddb: stream of writes of which one changes nothing")
def _stream(b: Bench) -> Any:
    ddb, streams, name = b.client("dynamodb"), b.client("dynamodbstreams"), f"{b.lab.name}-streamed"
    ddb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    stream = ddb.describe_table(TableName=name)["Table"]["LatestStreamArn"]
    ddb.put_item(TableName=name, Item={"id": {"S": "Fred"}})
    ddb.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": {"id": {"S": "Fred"}}}}]})
    ddb.update_item(
        TableName=name,
        Key={"id": {"S": "Fred"}},
        UpdateExpression="SET attr1 = :v",
        ExpressionAttributeValues={":v": {"S": "value1"}},
    )
    ddb.delete_item(TableName=name, Key={"id": {"S": "Fred"}})
    shard = streams.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = streams.get_shard_iterator(StreamArn=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    records = streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    changes = [
        [
            r["eventName"],
            sorted(name for name in r["dynamodb"] if name != "ApproximateCreationDateTime"),
            r["dynamodb"]["SizeBytes"],
        ]
        for r in records
    ]
    return [sorted(records[0]), changes]


def _bucket(b: Bench) -> str:
    """A bucket with versions."""

    def make() -> str:
        name = f"{b.lab.name}-versioned"
        b.client("s3").create_bucket(Bucket=name)
        b.client("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        b.client("s3").put_object(Bucket=name, Key="kept", Body=b"data")
        return name

    return str(b.once("bucket", make))


def _marker(b: Bench) -> str:
    """The version of a delete marker."""

    def make() -> str:
        b.client("s3").put_object(Bucket=_bucket(b), Key="test-delete", Body=b"test-delete")
        return str(b.client("s3").delete_object(Bucket=_bucket(b), Key="test-delete")["VersionId"])

    return str(b.once("marker", make))


REQUESTS |= {
    "s3: read of what was deleted": lambda b: (
        _marker(b),
        b.answer("s3", "get_object", Bucket=_bucket(b), Key="test-delete"),
    )[1],
    "s3: read of a delete marker": lambda b: b.answer(
        "s3", "get_object", Bucket=_bucket(b), Key="test-delete", VersionId=_marker(b)
    ),
    "s3: version id that is none": lambda b: b.answer(
        "s3", "delete_object", Bucket=_bucket(b), Key="kept", VersionId="HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD-bad"
    ),
    "s3: delete of a bucket with versions": lambda b: (_marker(b), b.answer("s3", "delete_bucket", Bucket=_bucket(b)))[
        1
    ],
    "s3: copy of another object": lambda b: b.answer(
        "s3",
        "copy_object",
        Bucket=_bucket(b),
        Key="copy",
        CopySource=f"{_bucket(b)}/kept",
        CopySourceIfMatch='"other"',
    ),
    "s3: put where an object is": lambda b: b.answer(
        "s3", "put_object", Bucket=_bucket(b), Key="kept", Body=b"x", IfNoneMatch="*"
    ),
    "s3: put over another object": lambda b: b.answer(
        "s3", "put_object", Bucket=_bucket(b), Key="kept", Body=b"x", IfMatch='"other"'
    ),
    "s3: put over no object": lambda b: b.answer(
        "s3", "put_object", Bucket=_bucket(b), Key="none", Body=b"x", IfMatch='"other"'
    ),
    "s3: batch delete of what is not there": lambda b: [
        sorted(each) for each in _deleted(b, [{"Key": "wrongkey"}, {"Key": "wrongkey-x"}])
    ],
}


def _deleted(b: Bench, objects: list[dict[str, str]]) -> list[dict[str, Any]]:
    answered: list[dict[str, Any]] = b.client("s3").delete_objects(Bucket=_bucket(b), Delete={"Objects": objects})[
        "Deleted"
    ]
    return answered


@case("alarm message: keys of the trigger")
def _trigger(b: Bench) -> Any:
    return sorted(alarm_message(b, "triggering")["Trigger"])


@case("api: body that is no JSON")
def _no_json(b: Bench) -> Any:
    status, headers, body = _http(b, "POST", "/checked?qs1=1", "{bad", x_header_param="1")
    return [status, body["message"], headers.get("x-amzn-errortype")]


@case("xray: documents that are no segments")
def _no_segments(b: Bench) -> Any:
    answered = b.client("xray").put_trace_segments(TraceSegmentDocuments=["{bad", '{"name": "x"}'])
    return [[each["ErrorCode"], each["Message"]] for each in answered["UnprocessedTraceSegments"]]
