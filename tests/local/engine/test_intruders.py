"""Another user of this machine reaches the engine's port, and can do nothing there: no call, no route."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.engine.outside import UPGRADE, as_another_user, client, handshake, send

if TYPE_CHECKING:
    from tests.local.engine.conftest import Lab

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


@pytest.mark.parametrize("host", ["", "x.iot.us-east-1.localhost", "x.appsync-realtime-api.localhost"])
def test_a_websocket_is_refused(lab: Lab, host: str) -> None:
    assert send(lab, "GET", "/mqtt", {**UPGRADE, "Sec-WebSocket-Protocol": "mqtt"}, host=host)[0] == 403


def test_a_websocket_api_is_open_unless_it_requires_a_signature(lab: Lab) -> None:
    answers = {}
    for authorization in ("NONE", "AWS_IAM"):
        selection = {"ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action"}
        api = lab.call("apigatewayv2", "create_api", Name=f"{lab.name}-{authorization}", **selection)["ApiId"]
        lab.call("apigatewayv2", "create_route", ApiId=api, RouteKey="$connect", AuthorizationType=authorization)
        lab.call("apigatewayv2", "create_stage", ApiId=api, StageName="prod")
        for path, host in ((f"/_aws/execute-api/{api}/prod", ""), ("/prod", f"{api}.execute-api.localhost")):
            answers[authorization, host[8:]] = handshake(lab, path, host)
    assert answers == {
        ("NONE", ""): 101,
        ("NONE", ".execute-api.localhost"): 101,
        ("AWS_IAM", ""): 403,
        ("AWS_IAM", ".execute-api.localhost"): 403,
    }
