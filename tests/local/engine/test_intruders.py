"""Another user of this machine reaches the engine's port, and can do nothing there: no call, no route."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtp.local import engine as engines
from rtp.local import process
from tests.local.engine.conftest import Lab
from tests.local.engine.outside import UPGRADE, Squatter, as_another_user, client, handshake, send
from tests.users import as_root

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = ("test", "000000000000", "AKIAIOSFODNN7EXAMPLE", "LKIA" + "A" * 16, "x", "*")
# A call of each protocol, and what AWS answers to a key that it does not know, and to none.
CALLS: dict[str, tuple[str, str, dict[str, Any], str, str]] = {
    "rest-json": (
        "lambda",
        "create_function",
        {
            "FunctionName": "intruder",
            "Runtime": "python3.13",
            "Role": "arn:aws:iam::000000000000:role/any",
            "Handler": "app.handler",
            "Code": {"ZipFile": b"x" * 3_000_000},
        },
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
    ),
    "invoke": ("lambda", "invoke", {"FunctionName": "any"}, "InvalidClientTokenId", "MissingAuthenticationToken"),
    "rest-xml": ("s3", "list_buckets", {}, "InvalidAccessKeyId", "AccessDenied"),
    "upload": ("s3", "put_object", {"Bucket": "b", "Key": "k", "Body": b"x"}, "InvalidAccessKeyId", "AccessDenied"),
    "query": ("cloudformation", "describe_stacks", {}, "InvalidClientTokenId", "MissingAuthenticationToken"),
    "sts": ("sts", "get_caller_identity", {}, "InvalidClientTokenId", "MissingAuthenticationToken"),
    "role": (
        "sts",
        "assume_role",
        {"RoleArn": "arn:aws:iam::000000000000:role/any", "RoleSessionName": "intruder"},
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
    ),
    "json 1.0": ("dynamodb", "list_tables", {}, "InvalidClientTokenId", "MissingAuthenticationToken"),
    "sqs": ("sqs", "create_queue", {"QueueName": "q"}, "InvalidClientTokenId", "MissingAuthenticationToken"),
    "json 1.1": ("logs", "describe_log_groups", {}, "InvalidClientTokenId", "MissingAuthenticationToken"),
    "cbor": ("cloudwatch", "describe_alarms", {}, "InvalidClientTokenId", "MissingAuthenticationToken"),
    "keys": (
        "apigateway",
        "get_api_keys",
        {"includeValues": True},
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
    ),
    "rtp's own": ("xray", "get_encryption_config", {}, "InvalidClientTokenId", "MissingAuthenticationToken"),
    "ec2": ("ec2", "describe_instances", {}, "AuthFailure", "MissingAuthenticationToken"),
    "rest-xml of others": ("route53", "list_hosted_zones", {}, "InvalidClientTokenId", "MissingAuthenticationToken"),
}


def refused_call(lab: Lab, call: str, access_key_id: str | None) -> tuple[int, str]:
    """Status and error code of a call by another user, as botocore understands them."""
    from botocore.exceptions import ClientError

    service, operation, params, _, _ = CALLS[call]
    caller = client(lab, service, access_key_id)

    def act() -> object:
        try:
            getattr(caller, operation)(**params)
        except ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
        return 200, "let in"

    status, code = as_another_user(act)
    return status, code


@pytest.mark.parametrize("access_key_id", KEYS)
@pytest.mark.parametrize("call", ["rest-json", "rest-xml"])
def test_no_guessed_key_is_admitted(lab: Lab, call: str, access_key_id: str) -> None:
    assert refused_call(lab, call, access_key_id) == (403, CALLS[call][3])


@pytest.mark.parametrize("call", CALLS)
def test_every_protocol_has_aws_s_own_error_for_an_unknown_key(lab: Lab, call: str) -> None:
    assert refused_call(lab, call, "test") == (401 if call == "ec2" else 403, CALLS[call][3])


@pytest.mark.parametrize("call", [call for call in CALLS if call != "ec2"])
def test_a_call_without_a_signature_is_refused(lab: Lab, call: str) -> None:
    assert refused_call(lab, call, None) == (403, CALLS[call][4])


@pytest.mark.parametrize("access_key_id", ["", "test"])
def test_a_part_of_a_signature_is_refused(lab: Lab, access_key_id: str) -> None:
    ours = lab.engine.keys.access_key_id
    for header in (
        f"AWS4-HMAC-SHA256 Credential={access_key_id}/20270115/us-east-1/s3/aws4_request",
        f"AWS4-HMAC-SHA256 Credential={ours[:-1]}/20270115/us-east-1/s3/aws4_request",
        f"AWS4-HMAC-SHA256 Credential={ours}",
        f"AWS {access_key_id}:x",
        "AWS4-HMAC-SHA256",
        f"Bearer {ours}",
        "Basic dGVzdDp0ZXN0",
    ):
        assert send(lab, "GET", "/", {"Authorization": header})[0] == 403, header
    for query in (
        f"X-Amz-Credential={access_key_id}/x",
        f"AWSAccessKeyId={access_key_id}",
        f"x-amz-credential={ours}x/",
    ):
        assert send(lab, "GET", f"/?{query}")[0] == 403, query


# Routes of the engine other than AWS's APIs, and some that it would take for a request that AWS serves unsigned.
ROUTES = [
    ("GET", "/", ""),
    ("HEAD", "/bucket/key", ""),
    ("GET", "/bucket/key", ""),
    ("PUT", "/bucket", ""),
    ("GET", "/key", "bucket.s3.localhost"),
    ("GET", "/index.html", "bucket.s3-website.us-east-1.localhost"),
    ("OPTIONS", "/", ""),
    ("GET", "/000000000000/queue?Action=ReceiveMessage", ""),
    ("POST", "/000000000000/queue?Action=SendMessage&MessageBody=x", ""),
    ("GET", "/?Action=AssumeRoleWithWebIdentity&RoleArn=arn:aws:iam::000000000000:role/r&WebIdentityToken=x", ""),
    ("GET", "/?Action=AssumeRoleWithSAML&RoleArn=arn:aws:iam::000000000000:role/r&SAMLAssertion=x", ""),
    ("GET", "/?Action=ConfirmSubscription&Token=x&TopicArn=y", ""),
    ("GET", "/2015-03-31/functions", ""),
    ("POST", "/2015-03-31/functions/any/invocations", ""),
    ("POST", "/2018-06-01/runtime/invocation/x/response", ""),
    ("GET", "/_aws/lambda-url/" + "a" * 32 + "/", ""),
    ("GET", "/", "a" * 32 + ".lambda-url.us-east-1.localhost"),
    ("GET", "/_aws/", ""),
    ("GET", "/_aws/execute-api/", ""),
    ("GET", "/_aws/execute-api/abcd1234", ""),
    ("GET", "/restapis", ""),
    ("GET", "/restapis/abcd1234/prod/_user_request", ""),
    ("GET", "/restapis/abcd1234/stages", ""),
    ("GET", "/apikeys?includeValues=true", ""),
    ("GET", "/pool/.well-known/jwks.json", ""),
    ("GET", "/oauth2/authorize", ""),
    ("POST", "/oauth2/token", ""),
    ("POST", "/login", ""),
    ("GET", "/v2/", ""),
    ("POST", "/v2/email/outbound-emails", ""),
    ("GET", "/v20180820/accesspoint", ""),
    ("GET", "/iceberg/v1/config", ""),
    ("POST", "/Execute", ""),
    ("POST", "/WriteGetObjectResponse", ""),
    ("POST", "/TraceSegments", ""),
    ("POST", "/TraceSummaries", ""),
    ("GET", "/v4/abcdefghijkl/task", ""),
    ("GET", "/oidc/x", ""),
    ("GET", "/_alb/name/", ""),
    ("GET", "/", "name.alb.localhost"),
    ("GET", "/", "d1.cloudfront.localhost"),
    ("GET", "/", "collection.us-east-1.aoss.localhost"),
    ("POST", "/graphql", "x.appsync-api.localhost"),
    ("GET", "/_ministack/lambda-code/any", ""),
    ("GET", "/_ministack/lambda-code/000000000000/us-east-1/any", ""),
    ("GET", "/_ministack/lambda-layers/any/1/content", ""),
    ("PUT", "/_ministack/cfn-response/guessed", ""),
    ("PUT", "/_ministack/cfn-signal/guessed", ""),
    ("POST", "/_ministack/rds/iam-auth", ""),
    ("POST", "/_ministack/eks-auth/000000000000/us-east-1/c/abcdefghijklmnopqrst", ""),
]


@pytest.mark.parametrize(("method", "path", "host"), ROUTES)
def test_no_other_route_is_open(lab: Lab, method: str, path: str, host: str) -> None:
    sent = as_another_user(lambda: send(lab, method, path, host=host)[0])
    assert sent == 403


def test_no_route_is_opened_by_an_api_s_name(lab: Lab) -> None:
    # Given an API, and a route that the engine takes by its path alone
    url, _ = lab.queue("peeked")
    lab.call("sqs", "send_message", QueueUrl=url, MessageBody="peeked at")
    base = lab.api({"events": lab.to_queue(lab.queue("behind")[1])})
    host = f"{base.split('/')[3]}.execute-api.localhost"
    # When it is requested under the API's name
    for method, path in [(m, p) for m, p, h in ROUTES if not h and m != "OPTIONS"]:
        status, body = send(lab, method, path, host=host)
        # Then the API answers, which has no such path
        assert status in (403, 404), (method, path, status, body)
    for path in (f"/_ministack/sqs/messages?QueueUrl={url}", f"/prod/../_ministack/sqs/messages?QueueUrl={url}"):
        assert b"peeked at" not in send(lab, "GET", path, host=host)[1]
    # And what the API has, it serves there as under its path
    for path, name in ((f"{base}/events", ""), ("/prod/events", host), (f"{base}/events", "d1.cloudfront.localhost")):
        status, body = send(lab, "POST", path, {"Content-Type": "application/json"}, b"{}", host=name)
        assert (status, json.loads(body)) == (202, {"message": "accepted"})


def test_an_api_is_open_except_for_methods_that_require_a_signature(lab: Lab) -> None:
    base = lab.api({"open": lab.to_queue(lab.queue("open")[1]), "signed": lab.to_queue(lab.queue("signed")[1])})
    api = base.split("/")[3]
    lab.require_signature(base, "/signed")

    def post(path: str, **headers: str) -> tuple[int, bytes]:
        return send(lab, "POST", path, {"Content-Type": "application/json", **headers}, b"{}")

    assert as_another_user(lambda: post(f"{base}/open")[0]) == 202
    assert post(f"{base}/open", Authorization="Bearer of the application's")[0] == 202
    for path in (f"{base}/signed", f"/restapis/{api}/prod/_user_request_/signed", f"{base}/@connections/x"):
        assert post(path) == (403, b'{"message": "Missing Authentication Token"}')
        assert post(path, **lab.signature("execute-api", "test"))[0] == 403
    assert post(f"{base}/signed", **lab.signature("execute-api"))[0] == 202
    # And one that was made for something else is refused as by AWS
    service, region = (
        "Credential should be scoped to correct service: 'execute-api'. ",
        "Credential should be scoped to a valid region. ",
    )
    key = lab.engine.keys.access_key_id
    for headers, message in (
        (lab.signature("s3"), service),
        (lab.signature("execute-api", region="eu-west-1"), region),
        (lab.signature("sqs", region="eu-west-1"), region + service),
        ({"Authorization": f"AWS4-ECDSA-P256-SHA256 Credential={key}/20270115/s3/aws4_request"}, service),
    ):
        status, body = post(f"{base}/signed", **headers)
        assert (status, json.loads(body)["message"]) == (403, message)
    for authorization in (
        f"AWS {key}:x",
        f"AWS4-HMAC-SHA256 Credential={key}/x",
        f"AWS4-HMAC-SHA256 Credential={key}/",
    ):
        assert post(f"{base}/signed", Authorization=authorization)[0] == 403, authorization
    query = f"X-Amz-Credential={key}/20270115/us-east-1/execute-api/aws4_request"
    assert post(f"{base}/signed?{query}")[0] == 403  # presigned calls need AUTH=true


def test_an_http_api_and_a_function_url_refuse_what_was_signed_for_something_else(lab: Lab) -> None:
    key = lab.engine.keys.access_key_id
    service = "Credential should be scoped to correct service: '{}'. "
    region = "Credential should be scoped to a valid region. "
    for path, own, answers in (
        (f"{lab.http_api('AWS_IAM')}/signed", "execute-api", ("Forbidden",) * 3),
        (
            f"{lab.websocket_api('AWS_IAM')}/@connections/x",
            "execute-api",
            (service.format("execute-api"), region, region + service.format("execute-api")),
        ),
        (lab.function_url("AWS_IAM"), "lambda", (service.format("lambda"), region, region + service.format("lambda"))),
    ):

        def post(path: str = path, **headers: str) -> tuple[int, str]:
            status, body = send(lab, "POST", path, {"Content-Type": "application/json", **headers}, b"{}")
            return status, str(json.loads(body).get("message", ""))

        assert as_another_user(post)[0] == 403
        assert post(**lab.signature(own, "test"))[0] == 403
        assert post(**lab.signature(own))[0] in (200, 410)  # 410: of a client that is not connected
        wrong = (
            lab.signature("s3"),
            lab.signature(own, region="eu-west-1"),
            lab.signature("sqs", region="eu-west-1"),
        )
        for headers, message in zip(wrong, answers, strict=True):
            assert post(**headers) == (403, message), path
        no_region = {"Authorization": f"AWS4-ECDSA-P256-SHA256 Credential={key}/20270115/s3/aws4_request"}
        assert post(**no_region) == (403, answers[0]), path
        assert post(f"{path}?X-Amz-Credential={key}/20270115/us-east-1/s3/aws4_request&X-Amz-Signature=0")[0] == 403
    assert handshake(lab, lab.websocket_api("AWS_IAM"), **lab.signature("execute-api")) == 101
    for headers in wrong:
        assert handshake(lab, lab.websocket_api("AWS_IAM"), **headers) == 403


def test_a_function_url_without_authentication_is_everybody_s_where_its_policy_says_so(lab: Lab) -> None:
    both = ("InvokeFunctionUrl", "InvokeFunction")

    def call(path: str, **headers: str) -> int:
        return send(lab, "POST", path, {"Content-Type": "application/json", **headers}, b"{}")[0]

    for public, authorization in (((), "NONE"), (both[:1], "NONE"), (both[1:], "NONE"), (both, "AWS_IAM")):
        assert call(lab.function_url(authorization, public)) == 403, (public, authorization)
    path = lab.function_url("NONE", both)
    assert as_another_user(lambda: call(path)) == 200
    assert call(path, Authorization="Bearer of the application's") == 200
    host = f"{path.split('/')[3]}.lambda-url.us-east-1.localhost"
    assert call("/any/path", Host=f"{host}:{lab.engine.port}") == 200
    # But it opens nothing else, and no page of the web may call it
    assert call(path, Origin="http://evil.example") == 403
    assert call(f"{path.rstrip('/')}/../../2015-03-31/functions") != 201
    assert call("/2015-03-31/functions", Host=f"localhost:{lab.engine.port}") == 403
    assert call("/_ministack/reset", Host=f"{host}:{lab.engine.port}") == 403
    assert call(path) == 200


def test_a_route_without_authorization_takes_any_header(lab: Lab) -> None:
    base = lab.http_api("NONE", "/open")
    for authorization in ("Bearer of the application's", "Basic dGVzdDp0ZXN0", ""):
        headers = {"Authorization": authorization} if authorization else {}
        assert send(lab, "POST", f"{base}/open", {"Content-Type": "application/json", **headers}, b"{}")[0] == 200


@as_root
def test_another_user_learns_no_key_from_the_engine_s_processes(lab: Lab) -> None:
    pid = lab.engine.pid
    group = [
        int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _group(int(path.name)) == pid
    ]
    assert pid in group

    def look() -> dict[str, str]:
        """What can be read of each process, and whether it can be signalled."""
        seen = {}
        for each in group:
            seen[f"{each} cmdline"] = Path(f"/proc/{each}/cmdline").read_text()
            for name in ("environ", "mem", "fd/0", "cwd/engine.json", "root/proc/self/environ"):
                with contextlib.suppress(OSError):
                    seen[f"{each} {name}"] = Path(f"/proc/{each}/{name}").read_bytes()[:100].decode("latin-1")
            with contextlib.suppress(PermissionError):
                os.kill(each, 0)
                seen[f"{each} signal"] = "sent"
        return seen

    seen = as_another_user(look)
    secrets = (lab.engine.token, *lab.engine.keys)
    assert not any(secret in text for secret in secrets for text in seen.values())
    assert {name.partition(" ")[2] for name in seen} == {"cmdline"}


@as_root
def test_another_user_s_server_at_the_port_of_a_killed_engine_gets_nothing(make_lab: Callable[..., Lab]) -> None:
    # Given an engine that was killed, and another user who takes its port
    lab = make_lab()
    root, old = lab.engine.log_file.parents[2], lab.engine
    began = str(process.started(old.pid))
    process.kill_group(old.pid, began)
    assert process.wait_gone(old.pid, began, 30)
    squatter = Squatter(old.port)
    try:
        assert squatter.has_the_port
        # When its folder is used / Then it is known to be gone, and the next one has another port and other keys
        assert not engines.status(root).running
        new = engines.start(root)
        assert new.port != old.port and new.token != old.token and new.keys != old.keys
        Lab(new).queue("elsewhere")
    finally:
        received = squatter.end()
    # And that server has got neither a request nor a key
    assert received == b""


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


@pytest.mark.parametrize("host", ["", "x.iot.us-east-1.localhost", "x.appsync-realtime-api.localhost"])
def test_a_websocket_is_refused(lab: Lab, host: str) -> None:
    assert send(lab, "GET", "/mqtt", {**UPGRADE, "Sec-WebSocket-Protocol": "mqtt"}, host=host)[0] == 403


def test_a_websocket_api_is_open_unless_it_requires_a_signature(lab: Lab) -> None:
    answers = {}
    for authorization in ("NONE", "AWS_IAM"):
        api = lab.websocket_api(authorization).split("/")[3]
        for path, host in ((f"/_aws/execute-api/{api}/prod", ""), ("/prod", f"{api}.execute-api.localhost")):
            answers[authorization, host[8:]] = handshake(lab, path, host)
    assert answers == {
        ("NONE", ""): 101,
        ("NONE", ".execute-api.localhost"): 101,
        ("AWS_IAM", ""): 403,
        ("AWS_IAM", ".execute-api.localhost"): 403,
    }
