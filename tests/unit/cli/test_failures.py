"""botocore's exceptions: each leaves as an error of rtp with its fix, never as a traceback."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from botocore import exceptions as b  # noqa: TID253

from rtp.aws import Aws
from rtp.aws.failures import translated
from rtp.errors import ConfigError, CredentialsError, EndpointError, ExitCode, MissingError, RtpError

AWS = Aws(region="us-east-1")


def leaves(error: Exception) -> RtpError:
    with pytest.raises(RtpError) as failure, translated(AWS, "sqs", "send_message"):
        raise error
    return failure.value


@pytest.mark.parametrize(
    ("error", "kind", "expected"),
    [
        (b.SSLError(endpoint_url="https://sqs", error=ValueError("self-signed")), EndpointError, "AWS_CA_BUNDLE"),
        (b.ProxyConnectionError(proxy_url="http://proxy", error="refused"), EndpointError, "HTTPS_PROXY"),
        (b.EndpointConnectionError(endpoint_url="https://sqs"), EndpointError, "network"),
        (b.IncompleteReadError(actual_bytes=1, expected_bytes=2), EndpointError, "network"),
        (b.ConfigParseError(path="/home/op/.aws/config", error="line 3"), ConfigError, "~/.aws/config"),
        (b.NoCredentialsError(), CredentialsError, "aws sso login"),
        (b.WaiterError(name="w", reason="r", last_response={}), RtpError, ""),
    ],
)
def test_each_failure_names_its_fix(error: Exception, kind: type[RtpError], expected: str) -> None:
    failure = leaves(error)
    assert isinstance(failure, kind)
    assert expected in failure.hint


def test_every_exception_of_botocore_is_an_expected_failure() -> None:
    kinds = [kind for _, kind in inspect.getmembers(b, inspect.isclass) if issubclass(kind, b.BotoCoreError)]
    assert len(kinds) > 50
    for kind in kinds:
        error = kind.__new__(kind)
        Exception.__init__(error, "it broke")
        assert "it broke" in leaves(error).message or leaves(error).hint, kind


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("SignatureDoesNotMatch", "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z"),
        ("InvalidSignatureException", "Signature not yet current: 20260101T001000Z is still later than …"),
        ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
    ],
)
def test_a_wrong_clock_is_not_reported_as_wrong_keys(code: str, message: str) -> None:
    failure = leaves(b.ClientError({"Error": {"Code": code, "Message": message}}, "SendMessage"))
    assert "clock" in failure.message and "NTP" in failure.hint


@pytest.mark.parametrize(
    ("service", "code", "parameters", "text"),
    [
        ("sqs", "AWS.SimpleQueueService.NonExistentQueue", {"QueueUrl": "https://sqs/1/shop-dlq"}, "queue shop-dlq"),
        ("dynamodb", "ResourceNotFoundException", {"TableName": "shop-table"}, "table shop-table"),
        ("dynamodb", "ResourceNotFoundException", {"RequestItems": {"shop-table": {}}}, "table shop-table"),
        ("s3", "NoSuchBucket", {"Bucket": "shop-1"}, "bucket shop-1"),
        ("apigateway", "NotFoundException", {"apiKey": "k1"}, "API key k1"),
        ("lambda", "ResourceNotFoundException", {"FunctionName": "shop-worker"}, "function shop-worker"),
    ],
)
def test_a_resource_that_does_not_exist_is_named_with_the_command(
    service: str, code: str, parameters: dict[str, Any], text: str
) -> None:
    error = b.ClientError({"Error": {"Code": code, "Message": "no"}}, "Call")
    with pytest.raises(MissingError) as caught, translated(AWS, service, "call", parameters):
        raise error
    failure = caught.value
    assert failure.message == f"The {text} does not exist."
    assert "`rtp deploy`" in failure.hint
    assert (failure.service_code, failure.exit_code) == (code, ExitCode.NOT_FOUND)
