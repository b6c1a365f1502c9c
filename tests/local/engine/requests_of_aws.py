"""The requests whose answers AWS gave in aws-answers.json, one function a row, by the row's name."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

from tests.local.engine.conftest import ACCOUNT, REGION, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.engine.conftest import Lab

REQUESTS: dict[str, Callable[[Bench], Any]] = {}
RAISING = "def handler(event, context):\n    raise Exception('fail on purpose')\n"
FAILING = "def handler(event, context):\n    raise Exception('Test exception (this is intentional)')\n"
COUNTING = """
import json, os, boto3
sqs = boto3.client("sqs")
def handler(event, context):
    if event:
        sqs.send_message(QueueUrl=os.environ["SEEN"], MessageBody=json.dumps(event))
    return json.loads(os.environ["ANSWER"])
"""


class Bench:
    """An engine, the resources that several requests share, and requests without the SDK's own checks."""

    def __init__(self, lab: Lab) -> None:
        from botocore.config import Config

        self.lab = lab
        self._config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
        self._results: dict[str, Any] = {}

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` returned the first time under this name."""
        if name not in self._results:
            self._results[name] = make()
        return self._results[name]

    def client(self, service: str) -> Any:
        """A client that checks no parameters and does not retry."""
        return self.once(f"client {service}", lambda: self._client(service))

    def _client(self, service: str) -> Any:
        import boto3

        key, secret = self.lab.engine.keys
        connect: Any = boto3.client  # its types know each service by its literal name alone
        return connect(
            service,
            region_name=REGION,
            endpoint_url=self.lab.engine.endpoint_url,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=self._config,
        )

    def answer(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """The status, or the error's code, message and status."""
        from botocore.exceptions import ClientError

        try:
            answered = getattr(self.client(service), operation)(**params)
        except ClientError as error:
            reason, meta = error.response["Error"], error.response["ResponseMetadata"]
            return {"code": reason["Code"], "msg": reason["Message"], "status": meta["HTTPStatusCode"]}
        return {"ok": answered["ResponseMetadata"]["HTTPStatusCode"]}

    def queue(self, name: str = "requests", **attributes: str) -> str:
        """The URL of a queue that is made once."""
        return str(self.once(f"queue {name}", lambda: self.lab.queue(name, **attributes))[0])

    def arn(self, url: str) -> str:
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{url.rpartition('/')[2]}"

    def function(self, name: str, code: str, **config: Any) -> str:
        """The ARN of a function that is made once."""
        return str(self.once(f"function {name}", lambda: self.lab.function(code, f"{self.lab.name}-{name}", **config)))

    def sqs(self, operation: str, **params: Any) -> dict[str, Any]:
        return self.answer("sqs", operation, **{"QueueUrl": self.queue(), **params})


def case(*names: str) -> Callable[[Callable[[Bench], Any]], Callable[[Bench], Any]]:
    """Register the request of a row."""

    def register(request: Callable[[Bench], Any]) -> Callable[[Bench], Any]:
        for name in names:
            REQUESTS[name] = request
        return request

    return register


def entries(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"Id": str(n), "MessageBody": "x", **more} for n in range(count)]


REQUESTS |= {
    "send >1 MiB": lambda b: b.sqs("send_message", MessageBody="x" * 1_048_577),
    "batch of 20": lambda b: b.sqs("send_message_batch", Entries=entries(20)),
    "batch id invalid": lambda b: b.sqs("send_message_batch", Entries=entries(1, Id="id:invalid")),
    "delete batch id empty": lambda b: b.sqs("delete_message_batch", Entries=[{"Id": "", "ReceiptHandle": "x"}]),
    "delete batch id colon": lambda b: b.sqs(
        "delete_message_batch", Entries=[{"Id": "invalid:id", "ReceiptHandle": "x"}]
    ),
    "visibility batch of 20": lambda b: b.sqs(
        "change_message_visibility_batch",
        Entries=[{"Id": str(n), "ReceiptHandle": "x", "VisibilityTimeout": 1} for n in range(20)],
    ),
    "empty body": lambda b: b.sqs("send_message", MessageBody=""),
    "wait 21": lambda b: b.sqs("receive_message", WaitTimeSeconds=21),
    "queue gone": lambda b: b.answer("sqs", "get_queue_url", QueueName="no-such-queue"),
    "queue gone by url": lambda b: b.sqs("get_queue_attributes", QueueUrl=b.queue() + "-gone"),
    "FifoQueue on standard": lambda b: b.sqs("set_queue_attributes", Attributes={"FifoQueue": "true"}),
    "group id empty": lambda b: b.sqs("send_message", MessageBody="x", MessageGroupId=""),
}


@case("second purge within 60 s")
def _second_purge(b: Bench) -> Any:
    purged = b.queue("purged")
    assert b.sqs("purge_queue", QueueUrl=purged) == {"ok": 200}
    answer = b.sqs("purge_queue", QueueUrl=purged)
    return {**answer, "msg": answer.get("msg", "").replace(purged.rpartition("/")[2], "<queue-name>")}


@case("fair queue: MessageGroupId on a standard queue comes back")
def _fair(b: Bench) -> Any:
    url = b.queue("fair")
    b.client("sqs").send_message(QueueUrl=url, MessageBody="x", MessageGroupId="tenant")
    received = b.client("sqs").receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"])
    return sorted(received["Messages"][0]["Attributes"])


def _expired(b: Bench, name: str) -> tuple[str, str]:
    """A queue and a handle whose visibility timeout is over."""
    url = b.queue(name, VisibilityTimeout="0")
    b.client("sqs").send_message(QueueUrl=url, MessageBody="x")
    return url, b.client("sqs").receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"]


@case("visibility after timeout")
def _visibility_late(b: Bench) -> Any:
    url, handle = _expired(b, "visibility-late")
    return b.sqs("change_message_visibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=2)


@case("delete after timeout")
def _delete_late(b: Bench) -> Any:
    url, handle = _expired(b, "delete-late")
    return b.sqs("delete_message", QueueUrl=url, ReceiptHandle=handle)


@case("empty receive has no Messages key")
def _empty(b: Bench) -> Any:
    return "Messages" in b.client("sqs").receive_message(QueueUrl=b.queue("empty"))


@case("keys of a default queue's attributes")
def _default_attributes(b: Bench) -> Any:
    return sorted(b.client("sqs").get_queue_attributes(QueueUrl=b.queue("empty"), AttributeNames=["All"])["Attributes"])


def _dead(b: Bench, name: str, messages: int) -> tuple[str, str]:
    """The ARNs of a DLQ with messages and of its source."""

    def make() -> tuple[str, str]:
        dlq, dlq_arn = b.lab.queue(f"{name}-dlq")
        policy = json.dumps({"deadLetterTargetArn": dlq_arn, "maxReceiveCount": 1})
        url, arn = b.lab.queue(name, RedrivePolicy=policy, VisibilityTimeout="0")
        sqs = b.client("sqs")
        sqs.send_message_batch(QueueUrl=url, Entries=entries(messages))
        for _ in range(2):
            sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        assert b.lab.depth(dlq) == (messages, 0)
        return dlq_arn, arn

    shared: tuple[str, str] = b.once(f"dead {name}", make)
    return shared


def _running(b: Bench) -> tuple[str, str]:
    """A DLQ and the handle of a task that moves one message a second from it."""
    dlq, _ = _dead(b, "moved", 10)

    def start() -> str:
        target = b.arn(b.queue("moved-to"))
        task = b.client("sqs").start_message_move_task(
            SourceArn=dlq, DestinationArn=target, MaxNumberOfMessagesPerSecond=1
        )
        return str(task["TaskHandle"])

    return dlq, b.once("task", start)


REQUESTS |= {
    "move: source is no DLQ": lambda b: b.answer("sqs", "start_message_move_task", SourceArn=b.arn(b.queue("empty"))),
    "move: cancel bad handle": lambda b: b.answer("sqs", "cancel_message_move_task", TaskHandle="foobared"),
    "move: second task": lambda b: b.answer("sqs", "start_message_move_task", SourceArn=_running(b)[0]),
    "move: keys while RUNNING": lambda b: sorted(
        b.client("sqs").list_message_move_tasks(SourceArn=_running(b)[0])["Results"][0]
    ),
    "move: cancel": lambda b: b.answer("sqs", "cancel_message_move_task", TaskHandle=_running(b)[1]),
}


@case("move: cancel unknown id")
def _cancel_unknown(b: Bench) -> Any:
    import base64

    dlq, handle = _running(b)
    parsed = json.loads(base64.b64decode(handle))
    parsed = {name: value if value == dlq else "00000000-0000-0000-0000-000000000000" for name, value in parsed.items()}
    unknown = base64.b64encode(json.dumps(parsed).encode()).decode()
    return b.answer("sqs", "cancel_message_move_task", TaskHandle=unknown)


@case("move: keys and status after cancel")
def _cancelled(b: Bench) -> Any:
    def look() -> Any:
        task = b.client("sqs").list_message_move_tasks(SourceArn=_running(b)[0])["Results"][0]
        return [sorted(task), task["Status"]] if task["Status"] == "CANCELLED" else None

    return eventually(look)


@case("move: default destination, finished")
def _moved(b: Bench) -> Any:
    dlq, _ = _dead(b, "finished", 2)
    b.client("sqs").start_message_move_task(SourceArn=dlq)

    def look() -> Any:
        task = b.client("sqs").list_message_move_tasks(SourceArn=dlq)["Results"][0]
        counts = [task[f"ApproximateNumberOfMessages{name}"] for name in ("Moved", "ToMove")]
        return [sorted(task), task["Status"], *counts] if task["Status"] == "COMPLETED" else None

    return eventually(look)


def _mapping(b: Bench, **more: Any) -> dict[str, Any]:
    function = b.function("mapped", "def handler(event, context): ...\n")
    return {"EventSourceArn": b.arn(b.queue("mapped")), "FunctionName": function, **more}


def _created(b: Bench) -> Any:
    return b.once("mapping", lambda: b.client("lambda").create_event_source_mapping(**_mapping(b)))


REQUESTS |= {
    "esm: batch > 10 without window (create)": lambda b: b.answer(
        "lambda", "create_event_source_mapping", **_mapping(b, BatchSize=15)
    ),
    "esm: filter None": lambda b: b.answer(
        "lambda", "create_event_source_mapping", **_mapping(b, FilterCriteria={"Filters": [{"Pattern": "null"}]})
    ),
    "esm: create": lambda b: {"ok": _created(b)["ResponseMetadata"]["HTTPStatusCode"]},
    "esm: keys of the answer": lambda b: sorted(_created(b)),
    "esm: State, reason, window": lambda b: [
        _created(b)[name]
        for name in ("State", "StateTransitionReason", "MaximumBatchingWindowInSeconds", "FunctionResponseTypes")
    ],
    "esm: second of a pair": lambda b: (
        _created(b),
        b.answer("lambda", "create_event_source_mapping", **_mapping(b)),
    )[1],
}


def _delivered(b: Bench, name: str, answer: Any) -> list[dict[str, Any]]:
    """What a function got of one message, with partial batch responses and this answer, until the message is gone."""

    def run() -> list[dict[str, Any]]:
        seen = b.queue(f"{name}-seen")
        dlq, dlq_arn = b.lab.queue(f"{name}-dlq")
        policy = json.dumps({"deadLetterTargetArn": dlq_arn, "maxReceiveCount": 2})
        url, arn = b.lab.queue(name, RedrivePolicy=policy, VisibilityTimeout="2")
        environment = {"Variables": {"SEEN": seen, "ANSWER": json.dumps(answer)}}
        function = b.function(name, COUNTING, Environment=environment, Timeout=60)
        b.lab.invoke(function)  # its start takes longer than the queue hides a message
        b.lab.add_event_source(function, arn)
        b.client("sqs").send_message(QueueUrl=url, MessageBody="{}")
        assert eventually(lambda: sum(b.lab.depth(seen)) and not sum(b.lab.depth(url)))
        b.once(f"dlq {name}", lambda: b.lab.depth(dlq)[0])
        received = b.client("sqs").receive_message(QueueUrl=seen, MaxNumberOfMessages=10)["Messages"]
        return [json.loads(message["Body"]) for message in received]

    shared: list[dict[str, Any]] = b.once(f"delivered {name}", run)
    return shared


def _record_keys(events: list[dict[str, Any]]) -> Any:
    record = events[0]["Records"][0]
    return [sorted(record), sorted(record["attributes"])]


def _invalid(b: Bench) -> list[dict[str, Any]]:
    return _delivered(b, "invalid", {"batchItemFailures": [{"itemIdentifier": ""}]})


def _no_result(b: Bench) -> list[dict[str, Any]]:
    return _delivered(b, "empty-result", {})


REQUESTS |= {
    "invalid batchItemFailures: whole batch again: number of invocations": lambda b: len(_invalid(b)),
    "invalid batchItemFailures: whole batch again: record keys": lambda b: _record_keys(_invalid(b)),
    "invalid batchItemFailures: whole batch again: then in the DLQ": lambda b: bool(
        _invalid(b) and b.once("dlq invalid", lambda: 0)
    ),
    "{} result: batch done: number of invocations": lambda b: len(_no_result(b)),
    "{} result: batch done: record keys": lambda b: _record_keys(_no_result(b)),
}


@case("async DLQ: attributes")
def _async(b: Bench) -> Any:
    dlq = b.queue("async-dlq")
    function = b.function("async", FAILING, DeadLetterConfig={"TargetArn": b.arn(dlq)})
    b.client("lambda").put_function_event_invoke_config(FunctionName=function, MaximumRetryAttempts=0)
    b.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=b'{"hello": "there"}')
    received = eventually(
        lambda: b.client("sqs").receive_message(QueueUrl=dlq, MessageAttributeNames=["All"]).get("Messages")
    )
    assert json.loads(received[0]["Body"]) == {"hello": "there"}
    attributes = {n: [v["DataType"], v["StringValue"]] for n, v in received[0].get("MessageAttributes", {}).items()}
    if re.fullmatch(r"[0-9a-f-]{36}", attributes.get("RequestID", ["", ""])[1]):
        attributes["RequestID"][1] = "*"
    return attributes


@case("invoke error: FunctionError, payload keys")
def _invoke_error(b: Bench) -> Any:
    answered = b.client("lambda").invoke(FunctionName=b.function("h", RAISING, Handler="h.handler"))
    payload = json.loads(answered["Payload"].read())
    line = re.sub(r"line \d+", "line N", (payload.get("stackTrace") or [""])[0])
    return [answered["FunctionError"], sorted(payload), line]


def _table(b: Bench) -> str:
    def make() -> str:
        name = f"{b.lab.name}-items"
        b.client("dynamodb").create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )
        item = {"id": {"S": "456"}, "price": {"N": "650"}, "product": {"S": "sporting goods"}}
        b.client("dynamodb").put_item(TableName=name, Item=item)
        return name

    return str(b.once("table", make))


@case("ddb: capacity with on demand")
def _capacity(b: Bench) -> Any:
    return b.answer(
        "dynamodb",
        "create_table",
        TableName=f"{b.lab.name}-capacity",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
    )


def _condition(b: Bench) -> dict[str, Any]:
    return {
        "TableName": _table(b),
        "Key": {"id": {"S": "456"}},
        "ConditionExpression": "price > :most",
        "ExpressionAttributeValues": {":most": {"N": "1000"}},
    }


@case("ddb: condition fails")
def _condition_fails(b: Bench) -> Any:
    return b.answer("dynamodb", "delete_item", **_condition(b))


@case("ddb: Item in the condition error")
def _condition_item(b: Bench) -> Any:
    from botocore.exceptions import ClientError

    try:
        b.client("dynamodb").delete_item(**_condition(b), ReturnValuesOnConditionCheckFailure="ALL_OLD")
    except ClientError as error:
        return error.response.get("Item")
    return None


@case("ddb: transact cancelled")
def _cancelled_transaction(b: Bench) -> Any:
    table = _table(b)
    check = {"TableName": table, "ConditionExpression": "attribute_exists(id)", "Key": {"id": {"S": "none"}}}
    put = {"TableName": table, "Item": {"id": {"S": "test"}}}
    return b.answer("dynamodb", "transact_write_items", TransactItems=[{"ConditionCheck": check}, {"Put": put}])


@case("ddb: table gone (transact)")
def _transact_gone(b: Bench) -> Any:
    put = {"TableName": "non_existing_table", "Item": {"id": {"S": "1"}}}
    return b.answer("dynamodb", "transact_write_items", TransactItems=[{"Put": put}])


@case("ddb: PartiQL with no parameters")
def _no_parameters(b: Bench) -> Any:
    statement = f'SELECT * FROM "{_table(b)}"'  # noqa: S608 - a table of this test
    return b.answer("dynamodb", "execute_statement", Statement=statement, Parameters=[])


@case("ddb: batch PartiQL answers")
def _batch_statements(b: Bench) -> Any:
    table = _table(b)
    statements = [
        {"Statement": f"INSERT INTO \"{table}\" VALUE {{'id': 'batch', 'n': 1}}"},
        {"Statement": f"UPDATE \"{table}\" SET price=1 WHERE id='456'"},  # noqa: S608
    ]
    return [sorted(each) for each in b.client("dynamodb").batch_execute_statement(Statements=statements)["Responses"]]


@case("ddb: ExecuteTransaction")
def _transaction(b: Bench) -> Any:
    statements = [{"Statement": f"INSERT INTO \"{_table(b)}\" VALUE {{'id': '{n}'}}"} for n in ("t1", "t2")]
    answered = b.client("dynamodb").execute_transaction(TransactStatements=statements)
    return [answered["ResponseMetadata"]["HTTPStatusCode"], answered.get("Responses", [])]


@case("ddb: PartiQL IS NOT MISSING")
def _missing(b: Bench) -> Any:
    statement = f'SELECT * FROM "{_table(b)}" WHERE product IS NOT MISSING'  # noqa: S608
    return len(b.client("dynamodb").execute_statement(Statement=statement)["Items"])


def _group(b: Bench) -> dict[str, str]:
    def make() -> dict[str, str]:
        where = {"logGroupName": f"/{b.lab.name}/requests", "logStreamName": "stream"}
        b.client("logs").create_log_group(logGroupName=where["logGroupName"])
        b.client("logs").create_log_stream(**where)
        return where

    shared: dict[str, str] = b.once("group", make)
    return shared


def _group_name(b: Bench) -> str:
    return _group(b)["logGroupName"]


REQUESTS |= {
    "logs: filter limit 10001": lambda b: b.answer(
        "logs", "filter_log_events", logGroupName=_group_name(b), limit=10001
    ),
    "logs: filter bad token": lambda b: b.answer(
        "logs", "filter_log_events", logGroupName=_group_name(b), nextToken="foo"
    ),
    "logs: get bad token": lambda b: b.answer("logs", "get_log_events", **_group(b), nextToken="foo"),
    "logs: put wrong order": lambda b: b.answer(
        "logs", "put_log_events", **_group(b), logEvents=_events_at(0, -60_000)
    ),
    "logs: too old is refused, named": lambda b: (
        "tooOldLogEventEndIndex"
        in b.client("logs")
        .put_log_events(**_group(b), logEvents=_events_at(-15 * 86_400_000))
        .get("rejectedLogEventsInfo", {})
    ),
    "logs: query on no group": lambda b: b.answer(
        "logs", "start_query", logGroupName="/no/such/group", startTime=0, endTime=1, queryString="fields @message"
    ),
    "logs: bad metric filter pattern": lambda b: b.answer(
        "logs",
        "put_metric_filter",
        logGroupName=_group_name(b),
        filterName="long",
        filterPattern="X" * 1025,
        metricTransformations=[{"metricName": "m", "metricNamespace": "n", "metricValue": "1"}],
    ),
}


def _events_at(*offsets: int) -> list[dict[str, Any]]:
    now = int(time.time() * 1000)
    return [{"timestamp": now + offset, "message": "x"} for offset in offsets]


def _alarm(b: Bench, **more: Any) -> dict[str, Any]:
    """A minimal alarm, described."""

    def make() -> dict[str, Any]:
        name = f"{b.lab.name}-minimal"
        b.client("cloudwatch").put_metric_alarm(
            AlarmName=name,
            MetricName="m",
            Namespace="n",
            EvaluationPeriods=1,
            Period=10,
            Statistic="Sum",
            ComparisonOperator="GreaterThanThreshold",
            Threshold=30,
            **more,
        )
        described: dict[str, Any] = b.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
        return described

    shared: dict[str, Any] = b.once("alarm", make)
    return shared


@case("alarm: keys of a minimal one")
def _alarm_keys(b: Bench) -> Any:
    return sorted(_alarm(b))


@case("alarm: first reason")
def _alarm_reason(b: Bench) -> Any:
    return _alarm(b)["StateReason"]


def alarm_message(b: Bench, name: str, **more: Any) -> dict[str, Any]:
    """The message of an alarm that fires, as its topic's subscriber gets it."""
    inbox, alarm = b.queue(f"{name}s"), f"{b.lab.name}-{name}"
    topic = b.client("sns").create_topic(Name=f"{alarm}s")["TopicArn"]
    b.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=b.arn(inbox))
    b.client("cloudwatch").put_metric_alarm(
        AlarmName=alarm,
        MetricName="m",
        Namespace="n",
        EvaluationPeriods=1,
        Period=10,
        Statistic="Average",
        ComparisonOperator="GreaterThanThreshold",
        Threshold=30,
        AlarmActions=[topic],
        **more,
    )
    b.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="test")
    received = eventually(lambda: b.client("sqs").receive_message(QueueUrl=inbox).get("Messages"))
    message: dict[str, Any] = json.loads(json.loads(received[0]["Body"])["Message"])
    return message


@case("alarm message: keys")
def _alarm_message(b: Bench) -> Any:
    return sorted(alarm_message(b, "breaching", AlarmDescription="test"))


REQUESTS |= {
    "cfn: test_describe_change_set_nonexisting": lambda b: b.answer(
        "cloudformation", "describe_change_set", StackName="somestack", ChangeSetName="DoesNotExist"
    ),
    "cfn: test_non_existing_stack_message": lambda b: b.answer(
        "cloudformation", "describe_stacks", StackName="no-such-stack"
    ),
}


def _api(b: Bench) -> str:
    """The path of an API with one method that checks a header, a query parameter and the body."""

    def make() -> str:
        call = b.lab.call
        api = call("apigateway", "create_rest_api", name=f"{b.lab.name}-checked")["id"]
        root = call("apigateway", "get_resources", restApiId=api)["items"][0]["id"]
        resource = call("apigateway", "create_resource", restApiId=api, parentId=root, pathPart="checked")["id"]
        schema = {"type": "object", "required": ["a"], "properties": {"a": {"type": "number"}}}
        call(
            "apigateway",
            "create_model",
            restApiId=api,
            name="Checked",
            contentType="application/json",
            schema=json.dumps(schema),
        )
        validator = call(
            "apigateway",
            "create_request_validator",
            restApiId=api,
            name="all",
            validateRequestBody=True,
            validateRequestParameters=True,
        )["id"]
        where = {"restApiId": api, "resourceId": resource, "httpMethod": "POST"}
        call(
            "apigateway",
            "put_method",
            **where,
            authorizationType="NONE",
            requestValidatorId=validator,
            requestModels={"application/json": "Checked"},
            requestParameters={"method.request.header.x-header-param": True, "method.request.querystring.qs1": True},
        )
        templates = {"application/json": '{"statusCode": 200}'}
        call("apigateway", "put_integration", **where, type="MOCK", requestTemplates=templates)
        call("apigateway", "put_method_response", **where, statusCode="200")
        call("apigateway", "put_integration_response", **where, statusCode="200", selectionPattern="")
        deployment = call("apigateway", "create_deployment", restApiId=api)["id"]
        call("apigateway", "create_stage", restApiId=api, stageName="prod", deploymentId=deployment)
        return f"/_aws/execute-api/{api}/prod"

    return str(b.once("api", make))


def _http(b: Bench, method: str, path: str, body: str = "", **headers: str) -> tuple[int, dict[str, str], Any]:
    named = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    status, answered, content = b.lab.request(method, _api(b) + path, body, named)
    return status, {name.lower(): value for name, value in answered.items()}, json.loads(content or b"{}")


@case("api: unknown path")
def _unknown_path(b: Bench) -> Any:
    status, headers, body = _http(b, "POST", "/unknown")
    return [status, body, headers.get("x-amzn-errortype")]


@case("api: wrong method")
def _wrong_method(b: Bench) -> Any:
    status, headers, body = _http(b, "GET", "/checked")
    return [status, body, headers.get("x-amzn-errortype")]


@case("api: missing header")
def _missing_header(b: Bench) -> Any:
    status, _, body = _http(b, "POST", "/checked?qs1=1", '{"a": 1}')
    return [status, body["message"]]


@case("api: missing query")
def _missing_query(b: Bench) -> Any:
    status, _, body = _http(b, "POST", "/checked", '{"a": 1}', x_header_param="1")
    return [status, body["message"]]


@case("api: body invalid")
def _invalid_body(b: Bench) -> Any:
    status, headers, body = _http(b, "POST", "/checked?qs1=1", '{"b": 1}', x_header_param="1")
    return [status, body["message"], headers.get("x-amzn-errortype")]


@case("api: headers of an answer carry x-amzn-requestid and x-amz-apigw-id")
def _api_headers(b: Bench) -> Any:
    status, headers, _ = _http(b, "POST", "/checked?qs1=1", '{"a": 1}', x_header_param="1")
    assert status == 200
    return "x-amzn-requestid" in headers and "x-amz-apigw-id" in headers
