"""Translates botocore's exceptions into rtp's, each with a fix."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rtp.aws.answers import foreign
from rtp.errors import AwsError, ConfigError, CredentialsError, EndpointError, MissingError, RtpError
from rtp.text import suggest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from rtp.aws import Aws

_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired")
_INVALID = (
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "InvalidAccessKeyId",
    "AuthFailure",
    "IncompleteSignature",
    "InvalidToken",
    "MissingAuthenticationToken",
)
_SKEWED = ("Signature expired", "Signature not yet current")
_DENIED = (
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "AuthorizationError",
    "AuthorizationErrorException",
    "Forbidden",
)
_THROTTLED = (
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "PriorRequestNotComplete",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "ProvisionedThroughputExceededException",
    "SlowDown",
)
_SERVER_FAULT = 500  # HTTP status
# Service -> its codes for a resource that does not exist, and (parameter, kind) of what a call may name.
_ABSENT: dict[str, tuple[tuple[str, ...], tuple[tuple[str, str], ...]]] = {
    "apigateway": (
        ("NotFoundException",),
        (("apiKey", "API key"), ("keyId", "API key"), ("usagePlanId", "usage plan"), ("restApiId", "REST API")),
    ),
    "dynamodb": (("ResourceNotFoundException",), (("TableName", "table"),)),
    "kms": (("NotFoundException",), (("KeyId", "key"),)),
    "lambda": (("ResourceNotFoundException",), (("FunctionName", "function"), ("UUID", "event source"))),
    "s3": (("NoSuchBucket",), (("Bucket", "bucket"),)),
    "sqs": (("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"), (("QueueUrl", "queue"),)),
}


@contextmanager
def translated(aws: Aws, service: str, operation: str, parameters: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Translate a botocore error that is raised in the block into an RtpError that names the call and the fix."""
    try:
        yield
    except RtpError:
        raise
    except Exception as error:
        restored = _absent(error, service, parameters or {}) or _translate(error, aws, service, operation)
        if restored is None:
            raise
        raise restored from error


def _absent(error: Exception, service: str, parameters: Mapping[str, Any]) -> MissingError | None:
    """The error of a call about a resource that does not exist; None for another error, or where none is named."""
    response: Any = getattr(error, "response", None) or {}
    code = str(response.get("Error", {}).get("Code", ""))
    codes, named = _ABSENT.get(service, ((), ()))
    requested = parameters.get("RequestItems")
    parameters = {**parameters, **({"TableName": next(iter(requested))} if requested else {})}
    kind, name = next(((kind, str(parameters[p])) for p, kind in named if parameters.get(p)), ("", ""))
    if code not in codes or not name:
        return None
    return MissingError(
        f"The {kind} {name.rpartition('/')[2]} does not exist.",
        hint="If it was deleted by hand, `rtp deploy` creates it again; `rtp status` lists all that is missing.",
        service_code=code,
    )


def throttled(service: str, operation: str, what: str) -> AwsError:
    """The error of a call that AWS accepted, leaving something out again and again. what: what is missing."""
    return AwsError(
        f"{service} {operation}: AWS left out {what}, repeatedly; it does so under load.",
        hint="Wait a minute, then repeat the command.",
        code="throttled",
    )


def _translate(error: Exception, aws: Aws, service: str, operation: str) -> RtpError | None:
    from botocore import exceptions as b
    from urllib3.exceptions import HTTPError

    who = f"profile {aws.profile}" if aws.profile else "the default credentials"
    sign_in = suggest.command("aws", "sso", "login", profile=aws.profile or None)
    if isinstance(error, b.ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        if aws.local and code in _INVALID:
            return CredentialsError(
                f"The local engine at {aws.endpoint_url} does not accept this access key ({code}).",
                hint="If the engine is another project's or another user's, use its key: "
                '`eval "$(rtp local env)"` in its folder. If it was restarted meanwhile, run the command again.',
                service_code=code,
            )
        if code in _EXPIRED:
            return CredentialsError(
                f"The AWS credentials of {who} have expired.",
                hint=suggest.sentence("Sign in again, for instance with {}.", sign_in, otherwise="Sign in again."),
                service_code=code,
            )
        return _client_error(code, error, who, service, operation)
    if isinstance(error, b.ProfileNotFound):
        return ConfigError(
            f"There is no AWS profile {aws.profile!r} on this machine.",
            hint="Run `aws configure list-profiles`, or give --profile.",
        )
    if isinstance(error, b.NoCredentialsError | b.PartialCredentialsError | b.CredentialRetrievalError):
        return CredentialsError(
            f"No AWS credentials found ({who}).",
            hint=suggest.sentence("Sign in ({}) or give", sign_in, otherwise="Sign in or give")
            + " --profile; `--env local` needs none.",
        )
    if isinstance(error, b.TokenRetrievalError | b.SSOTokenLoadError | b.UnauthorizedSSOTokenError):
        again = suggest.sentence("Sign in again with {}.", sign_in, otherwise="Sign in again.")
        return CredentialsError(f"The AWS sign-in of {who} has expired.", hint=again)
    if isinstance(error, b.ConfigParseError | b.ConfigNotFound | b.InvalidConfigError):
        return ConfigError(
            f"The AWS configuration cannot be used: {str(error).splitlines()[0]}.", hint="Fix ~/.aws/config."
        )
    where = aws.endpoint_url or f"AWS {service} in {aws.region}"
    if isinstance(error, b.SSLError | b.ProxyConnectionError):
        what = "proxy" if isinstance(error, b.ProxyConnectionError) else "TLS certificate"
        return EndpointError(
            f"The {what} on the way to {where} does not work ({service} {operation}): {str(error).splitlines()[0]}",
            hint="Check HTTPS_PROXY and AWS_CA_BUNDLE.",
        )
    # botocore reads the text of an error without a translation where an operation streams its answer.
    if isinstance(error, b.ConnectionError | b.HTTPClientError | b.IncompleteReadError | HTTPError):
        hint = "See `rtp local status`." if aws.local else "Check the network and the region."
        return EndpointError(f"Nothing answered at {where} ({service} {operation}).", hint=hint)
    if type(error).__name__ == "ResponseParserError":  # the page of a proxy, or another server
        return foreign(where, f"{service} {operation}")
    if isinstance(error, b.BotoCoreError):
        return AwsError(f"{service} {operation}: {str(error).splitlines()[0]}")
    return None


def _client_error(code: str, error: Exception, who: str, service: str, operation: str) -> AwsError:
    message = str(getattr(error, "response", {}).get("Error", {}).get("Message") or error)
    if code == "RequestTimeTooSkewed" or any(words in message for words in _SKEWED):
        return CredentialsError(
            "This machine's clock differs too much from AWS's time: AWS rejects its signatures.",
            hint="Set the clock, for instance with NTP.",
            code="clock",
            service_code=code,
        )
    if code in _INVALID:
        return CredentialsError(
            f"AWS does not accept the credentials of {who} ({code}).",
            hint="Check --profile and the AWS_* variables.",
            service_code=code,
        )
    if "MultiFactorAuthentication failed" in message:
        return CredentialsError(
            f"AWS does not accept this MFA code for {who}.",
            hint="Repeat the command with the next code of the device; each is valid once.",
            code="mfa",
            service_code=code,
        )
    if code in _DENIED:
        return AwsError(
            f"{service} {operation}: {message}",
            hint=f"Let {who} do this, or use another --profile.",
            code="access-denied",
            service_code=code,
        )
    if code in _THROTTLED:
        return AwsError(
            f"{service} {operation} was throttled by AWS, repeatedly.",
            hint="Wait a minute, then repeat the command.",
            code="throttled",
            service_code=code,
        )
    if int(getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) >= _SERVER_FAULT:
        return AwsError(
            f"{service} {operation}: AWS failed to answer, repeatedly: {message}",
            hint="Repeat the command; see the AWS Health Dashboard if it goes on.",
            code="unavailable",
            service_code=code,
        )
    return AwsError(f"{service} {operation}: {message}", service_code=code)
