"""What the engine's tests build on it: functions, queues and APIs with names of their own."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import time
import zipfile
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import pytest

from rtp.aws import Aws
from rtp.errors import AwsError
from rtp.local import engine as engines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_T = TypeVar("_T")
REGION = "us-east-1"
ACCOUNT = "000000000000"
SQS_TEMPLATE = "Action=SendMessage&MessageBody=$util.urlEncode($input.body)"


class Lab:
    """One engine, and short ways to build on it."""

    def __init__(self, engine: engines.Engine) -> None:
        self.engine = engine
        self.aws = Aws(region=REGION, endpoint_url=engine.endpoint_url, local=True, keys=engine.keys)
        self.name = f"t{uuid4().hex[:10]}"

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        return self.aws.call(service, operation, **params)

    def request(
        self, method: str, path: str, body: str | bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Plain HTTP, with exactly these headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.engine.port, timeout=30)
        try:
            own_host = any(name.lower() == "host" for name in headers or {})
            connection.putrequest(method, path, skip_host=own_host, skip_accept_encoding=True)
            content = body.encode() if isinstance(body, str) else body or b""
            for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                connection.putheader(name, value)
            connection.endheaders(content)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def signature(self, service: str, access_key_id: str = "", region: str = REGION) -> dict[str, str]:
        """The header of a request with this key, or the engine's own; the signature is not checked."""
        scope = f"{access_key_id or self.engine.keys.access_key_id}/20270115/{region}/{service}/aws4_request"
        return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}"}

    def function(self, code: str, name: str = "", **config: Any) -> str:
        """A function of this Python source, with a `handler` in it; its ARN."""
        packed = io.BytesIO()
        module = str(config.get("Handler", "app.handler")).partition(".")[0]
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(f"{module}.py", code)
        made = self.call(
            "lambda",
            "create_function",
            **{
                "FunctionName": name or f"{self.name}-function",
                "Runtime": "python3.13",
                "Role": f"arn:aws:iam::{ACCOUNT}:role/any",
                "Handler": "app.handler",
                "Code": {"ZipFile": packed.getvalue()},
                "Timeout": 10,
                **config,
            },
        )
        return str(made["FunctionArn"])

    def invoke(self, arn: str, payload: Any = None) -> Any:
        answer = self.call("lambda", "invoke", FunctionName=arn, Payload=json.dumps(payload or {}).encode())
        return json.loads(answer["Payload"].read())

    def queue(self, suffix: str = "queue", **attributes: str) -> tuple[str, str]:
        """A queue; its URL and ARN."""
        name = f"{self.name}-{suffix}"
        url = self.call("sqs", "create_queue", QueueName=name, Attributes=attributes)["QueueUrl"]
        return url, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"

    def queue_with_dlq(self, receives: int = 2, visibility: int = 1) -> tuple[str, str, str, str]:
        """A queue and its dead-letter queue; the URLs and ARNs of both."""
        dlq_url, dlq_arn = self.queue("dlq")
        policy = json.dumps({"deadLetterTargetArn": dlq_arn, "maxReceiveCount": str(receives)})
        url, arn = self.queue(VisibilityTimeout=str(visibility), RedrivePolicy=policy)
        return url, arn, dlq_url, dlq_arn

    def add_event_source(self, function: str, queue_arn: str) -> None:
        """Make a queue the event source of a function, with partial batch responses.

        The queue may hide messages for less time than the function's timeout, which Lambda refuses in a new mapping.
        """
        url = self.call("sqs", "get_queue_url", QueueName=queue_arn.rpartition(":")[2])["QueueUrl"]
        name = "VisibilityTimeout"
        hidden = self.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=[name])["Attributes"][name]
        self.call("sqs", "set_queue_attributes", QueueUrl=url, Attributes={name: "900"})
        self.call(
            "lambda",
            "create_event_source_mapping",
            EventSourceArn=queue_arn,
            FunctionName=function,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )
        self.call("sqs", "set_queue_attributes", QueueUrl=url, Attributes={name: hidden})

    def api(self, routes: dict[str, dict[str, Any]]) -> str:
        """A traced REST API with an access log; the path below which its routes are."""
        api = self.call("apigateway", "create_rest_api", name=f"{self.name}-api")["id"]
        root = self.call("apigateway", "get_resources", restApiId=api)["items"][0]["id"]
        for path, integration in routes.items():
            resource = self.call("apigateway", "create_resource", restApiId=api, parentId=root, pathPart=path)["id"]
            where = {"restApiId": api, "resourceId": resource, "httpMethod": "POST"}
            answer = integration.pop("answer", '{"message": "accepted"}')
            self.call("apigateway", "put_method", **where, authorizationType="NONE")
            self.call("apigateway", "put_integration", **where, integrationHttpMethod="POST", **integration)
            self.call(
                "apigateway",
                "put_integration_response",
                **where,
                statusCode="202",
                selectionPattern=r"2\d{2}",
                responseTemplates={"application/json": answer},
            )
        with contextlib.suppress(AwsError):  # another API of this lab has made it
            self.call("logs", "create_log_group", logGroupName=self.access_log)
        deployment = self.call("apigateway", "create_deployment", restApiId=api)["id"]
        stage = {"restApiId": api, "stageName": "prod"}
        self.call("apigateway", "create_stage", **stage, deploymentId=deployment, tracingEnabled=True)
        log = {"destinationArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{self.access_log}", "format": ACCESS_LOG}
        patches = [{"op": "replace", "path": f"/accessLogSettings/{key}", "value": value} for key, value in log.items()]
        self.call("apigateway", "update_stage", **stage, patchOperations=patches)
        return f"/_aws/execute-api/{api}/prod"

    @property
    def access_log(self) -> str:
        return f"/{self.name}/access"

    def require_signature(self, base: str, path: str) -> None:
        """Give a method of an API AWS_IAM authorization. base: as `api` returned it."""
        api = base.split("/")[3]
        resources = self.call("apigateway", "get_resources", restApiId=api)["items"]
        resource = next(each["id"] for each in resources if each["path"] == path)
        self.call(
            "apigateway",
            "update_method",
            restApiId=api,
            resourceId=resource,
            httpMethod="POST",
            patchOperations=[{"op": "replace", "path": "/authorizationType", "value": "AWS_IAM"}],
        )
        self.call("apigateway", "create_deployment", restApiId=api, stageName="prod")

    def http_api(self, authorization: str, path: str = "/signed") -> str:
        """An HTTP API with one route to a function; the path below which it is."""
        code = "def handler(event, context):\n    return {'statusCode': 200, 'body': '{}'}\n"
        function = self.function(code, name=f"{self.name}-http-{uuid4().hex[:6]}")
        api = self.call("apigatewayv2", "create_api", Name=f"{self.name}-http", ProtocolType="HTTP")["ApiId"]
        target = {"IntegrationType": "AWS_PROXY", "IntegrationUri": function, "PayloadFormatVersion": "2.0"}
        integration = self.call("apigatewayv2", "create_integration", ApiId=api, **target)["IntegrationId"]
        route = {"RouteKey": f"POST {path}", "Target": f"integrations/{integration}"}
        self.call("apigatewayv2", "create_route", ApiId=api, AuthorizationType=authorization, **route)
        self.call("apigatewayv2", "create_stage", ApiId=api, StageName="prod", AutoDeploy=True)
        return f"/_aws/execute-api/{api}/prod"

    def websocket_api(self, authorization: str) -> str:
        """A WebSocket API; the path at which its clients connect."""
        selection = {"ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action"}
        api = self.call("apigatewayv2", "create_api", Name=f"{self.name}-{authorization}", **selection)["ApiId"]
        self.call("apigatewayv2", "create_route", ApiId=api, RouteKey="$connect", AuthorizationType=authorization)
        self.call("apigatewayv2", "create_stage", ApiId=api, StageName="prod")
        return f"/_aws/execute-api/{api}/prod"

    def function_url(self, authorization: str, public: Sequence[str] = ()) -> str:
        """A function with a URL; the path that stands for it. public: actions that its policy allows to everybody."""
        code = "def handler(event, context):\n    return {'statusCode': 200, 'body': '{}'}\n"
        function = self.function(code, name=f"{self.name}-url-{uuid4().hex[:6]}")
        config = {"FunctionName": function, "AuthType": authorization}
        url = str(self.call("lambda", "create_function_url_config", **config)["FunctionUrl"])
        for n, action in enumerate(public):
            more = {"FunctionUrlAuthType": "NONE"} if action.endswith("Url") else {"InvokedViaFunctionUrl": True}
            allowed = {"Action": f"lambda:{action}", "Principal": "*", **more}
            self.call("lambda", "add_permission", FunctionName=function, StatementId=f"public{n}", **allowed)
        return f"/_aws/lambda-url/{url.partition('//')[2].partition('.')[0]}/"

    def to_function(self, arn: str) -> dict[str, Any]:
        uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{arn}/invocations"
        return {"type": "AWS_PROXY", "uri": uri}

    def to_queue(self, queue_arn: str, template: str = SQS_TEMPLATE, **more: Any) -> dict[str, Any]:
        uri = f"arn:aws:apigateway:{REGION}:sqs:path/{ACCOUNT}/{queue_arn.rpartition(':')[2]}"
        return {"type": "AWS", "uri": uri, "requestTemplates": {"application/json": template}, **more}

    def post(self, path: str, body: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", path, body, {"Content-Type": "application/json", **named})

    def depth(self, url: str) -> tuple[int, int]:
        """Visible and in-flight messages."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])


ACCESS_LOG = '{"id": "$context.requestId", "status": "$context.status", "path": "$context.resourcePath"}'


def eventually(look: Callable[[], _T], timeout: float = 30) -> _T:
    """Call `look` until it returns something true, for at most `timeout` seconds; its last result."""
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


@pytest.fixture
def wait_for() -> Callable[..., Any]:
    """`eventually`."""
    return eventually


@pytest.fixture
def lab(engine: engines.Engine) -> Lab:
    """The shared engine, with names of this test's own."""
    return Lab(engine)


@pytest.fixture(scope="module")
def make_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Lab]]:
    """Starts engines with switches of their own; all are stopped after the module."""
    roots: list[Path] = []

    def make(**extra_env: str) -> Lab:
        root = tmp_path_factory.mktemp("engine")
        roots.append(root)
        return Lab(engines.start(root, extra_env=extra_env))

    yield make
    for root in roots:
        engines.stop(root)
