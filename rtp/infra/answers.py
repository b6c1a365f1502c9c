"""Mapping templates of POST /events, and the responses that the API gives by itself, as data.

The templates are in API Gateway's dialect of Velocity. Each is one line, because a line feed would be sent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from rtp.runtime import wire

_TRACE = r"(Self=[0-9a-f-]{1,100};)?Root=1-[0-9a-fA-F]{8}-[0-9a-fA-F]{24}(;[A-Za-z]{1,16}=[0-9A-Za-z:|?-]{0,64}){0,4}"
_SEND = "Action=SendMessage&Version=2012-11-05"
_REPLACEMENT = "%EF%BF%BD"  # U+FFFD


def _attribute(kind: str, number: int, name: str, value: str) -> str:
    prefix = f"&{kind}.{number}"
    return f"{prefix}.Name={name}{prefix}.Value.DataType=String{prefix}.Value.StringValue={value}"


# What POST /process refuses in JSON text and a model of the body cannot express: the condition, by the variables that
# TO_QUEUE sets, and the error. A request template cannot answer by itself. Such a body is sent as a message with an
# impossible delay: SQS refuses that and repeats the delay, by which REFUSED below knows the error.
# What a template cannot recognise either, such as a number out of range, ends as a dead event with the same reason.
_CONDITIONS = {
    "$bare.contains('NaN') || $bare.contains('Infinity')": "NaN and Infinity are not JSON numbers",
    "$escapes.replaceAll('%5Cu[dD][89a-fA-F]', '') != $escapes": "contains a lone surrogate, which is not Unicode text",
    f"$digits.replaceAll('[1-9][0-9]{{{wire.MAX_DIGITS - 1},}}[1-9]', '') != $digits": (
        f"a number has more than {wire.MAX_DIGITS} digits"
    ),
    "$brackets != ''": f"nested deeper than {wire.MAX_LEVELS} levels",
    "$parsed.startsWith('%7B') && $colons != $members": "an object has a key twice",
}
_DELAYS = {reason: wire.MAX_DELAY_SECONDS + number for number, reason in enumerate(_CONDITIONS.values(), 1)}

# Text without the escapes of backslashes and quotation marks, then without strings.
_NO_ESCAPES = ".replaceAll('%5C%5C', '_')"  # not nothing: what stands before and after it would be one pair
_NO_STRINGS = ".replaceAll('%5C%22', '').replaceAll('%22.*?%22', '')"
_COLONS = ".replaceAll('%3A', ':').replaceAll('[^:]+', '')"  # as many as members
_PAIR = "%5Cu[dD][89abAB][0-9a-fA-F]{2}%5Cu[dD][c-fC-F][0-9a-fA-F]{2}"
_LEVELS = 8  # of brackets that one pass removes


def _nested(levels: int) -> str:
    """A pattern of brackets inside brackets. Possessive, since Java repeats other groups by recursion."""
    return "[(][)]" if levels == 1 else f"[(](?:{_nested(levels - 1)})*+[)]"


# An object whose key is there twice loses a member when it is parsed.
_EXAMINE = "".join(
    (
        f"#set($text = $form{_NO_ESCAPES})",
        f"#set($escapes = $text.replaceAll('{_PAIR}', ''))",
        f"#set($bare = $text{_NO_STRINGS})",
        f"#set($colons = $bare{_COLONS})",
        "#set($bare = $bare.replaceAll('%[57]B', '(').replaceAll('%[57]D', ')').replaceAll('%[0-9A-F]{2}', ' '))",
        "#set($digits = $bare.replaceAll('[.]', ''))",
        "#set($brackets = $bare.replaceAll('[^()]+', ''))",
        f"#set($brackets = $brackets.replaceAll('{_nested(_LEVELS)}', ''))" * (wire.MAX_LEVELS // _LEVELS),
        "#set($parsed = $util.urlEncode($input.json('$')))",
        f"#set($members = $parsed{_NO_ESCAPES}{_NO_STRINGS}{_COLONS})",
        "#set($delay = '')",
        *(
            f"#{'elseif' if number else 'if'}({condition})#set($delay = '{_DELAYS[reason]}')"
            for number, (condition, reason) in enumerate(_CONDITIONS.items())
        ),
        "#end",
    )
)

# urlEncode writes a byte that is no letter or digit as %XX; counted as one character each, they give the body's bytes.
# A body over the limit is sent without its text: SQS refuses that, and REFUSED below recognises this refusal.
# U+FFFE and U+FFFF, which SQS may refuse, are escaped as the functions do (wire.message_body).
# U+FFFD stands for bytes that were not UTF-8, and what was sent is unknown. Such a body is sent with a
# delay that SQS refuses; a U+FFFD that is meant is an escape in the JSON text, which arrives as it is.
# A trace header that SQS would reject is left out, so that the event is not lost.
TO_QUEUE = "".join(
    (
        "#set($form = $util.urlEncode($input.body))",
        "#set($form = $form.replaceAll('%EF%BF%BE', '%5Cufffe').replaceAll('%EF%BF%BF', '%5Cuffff'))",
        "#set($trace = $input.params('X-Amzn-Trace-Id'))",
        "#if($trace == '')#set($trace = $input.params('x-amzn-trace-id'))#end",
        f"#if($form.replaceAll('%[0-9A-F]{{2}}', '_').length() > {wire.MAX_BODY_BYTES})",
        _SEND,
        f"#elseif($form.contains('{_REPLACEMENT}'))",
        f"{_SEND}&MessageBody=-&DelaySeconds=-1",
        "#{else}",
        _EXAMINE,
        "#if($delay != '')",
        f"{_SEND}&MessageBody=refused&DelaySeconds=${{delay}}",
        "#{else}",
        f"{_SEND}&MessageBody=${{form}}",
        _attribute("MessageAttribute", 1, wire.SOURCE, "api"),
        _attribute("MessageAttribute", 2, wire.REQUEST_ID, "$context.requestId"),
        _attribute("MessageAttribute", 3, wire.REQUEST_TIME, "$context.requestTimeEpoch"),
        f"#if($trace.matches('{_TRACE}'))",
        _attribute("MessageSystemAttribute", 1, wire.TRACE_HEADER, "$util.urlEncode($trace)"),
        "#end#end#end",
    )
)

# The response of SQS does not repeat the body, so this response cannot contain an id of the body.
ACCEPTED = (
    '{"message": "accepted; an event without an id of its own has this one", '
    '"id": "$context.requestId", "timestamp": $context.requestTimeEpoch}'
)

UNAVAILABLE = (
    '{"message": "the queue cannot take the event now; nothing was accepted", "request_id": "$context.requestId"}'
)


_NOT_AN_EVENT = "the body is not an event"


def _override(status: int, message: str, error: str = "") -> str:
    errors = f'"errors": [{{"path": "$", "message": "{error}"}}], ' if error else ""
    body = f'{{"message": "{message}", {errors}"request_id": "$context.requestId"}}'
    return f"#set($context.responseOverride.status = {status}){body}"


# SQS responds 400 to a client's errors and to a problem of the queue or the key alike: only its error code differs.
REFUSED = "".join(
    (
        "#set($reply = $input.path('$').toString())",
        "#if($reply.contains('MissingParameter') || $reply.contains('Message must be shorter'))",
        _override(413, f"the body is larger than {wire.MAX_BODY_BYTES} bytes"),
        *(
            f"#elseif($reply.contains('Value {delay} for parameter DelaySeconds'))"
            + _override(400, _NOT_AN_EVENT, reason)
            for reason, delay in _DELAYS.items()
        ),
        "#elseif($reply.contains('DelaySeconds'))",
        _override(400, "the body is not UTF-8 text, or has U+FFFD, which stands for bytes that are not"),
        "#elseif($reply.contains('InvalidMessageContents'))",
        _override(400, "the body has characters that a queue cannot hold"),
        "#{else}",
        "#set($context.responseOverride.status = 503)",
        f"#set($context.responseOverride.header.Retry-After = '{wire.RETRY_AFTER_SECONDS}')",
        UNAVAILABLE,
        "#end",
    )
)


@dataclass(frozen=True, slots=True)
class GatewayAnswer:
    """A response that API Gateway gives by itself. Its body has plain substitutions, no Velocity."""

    type: str
    status: int | None  # None: the one that API Gateway chooses
    body: dict[str, object]
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def template(self) -> str:
        """The body, with `messageString` unquoted: its value has quotation marks."""
        text = json.dumps({**self.body, "request_id": "$context.requestId"})
        return text.replace('"$context.error.messageString"', "$context.error.messageString")


_OWN_WORDS: dict[str, object] = {"message": "$context.error.messageString"}
_AN_EVENT = (
    f"an event is an object of type (1 to {wire.MAX_NAME} characters), data (an object), and if it has one an id "
    f"(1 to {wire.MAX_NAME} characters), with a timestamp (epoch ms, not s) unless the id is a UUIDv7; nothing else"
)
_SAME_ID = "send it again with the same id and timestamp, it will not be doubled"

GATEWAY_ANSWERS = (
    GatewayAnswer("DEFAULT_4XX", None, _OWN_WORDS),
    GatewayAnswer("DEFAULT_5XX", None, _OWN_WORDS),
    GatewayAnswer(
        "BAD_REQUEST_BODY",
        400,
        {"message": _NOT_AN_EVENT, "errors": [{"path": "$", "message": _AN_EVENT}]},
    ),
    GatewayAnswer("BAD_REQUEST_PARAMETERS", 400, {**_OWN_WORDS, "errors": []}),
    GatewayAnswer("INVALID_API_KEY", 403, {"message": "the x-api-key header is missing or wrong"}),
    GatewayAnswer("ACCESS_DENIED", 403, {"message": "access denied: the address or the caller is not allowed"}),
    # API Gateway uses this response for a path or method that the API does not have.
    GatewayAnswer("MISSING_AUTHENTICATION_TOKEN", 404, {"message": "there are POST /process and POST /events"}),
    GatewayAnswer("REQUEST_TOO_LARGE", 413, {"message": f"the body is larger than {wire.MAX_BODY_BYTES} bytes"}),
    GatewayAnswer("UNSUPPORTED_MEDIA_TYPE", 415, {"message": "the content type must be application/json"}),
    GatewayAnswer("THROTTLED", 429, {"message": "too many requests; slow down"}, {"Retry-After": "'1'"}),
    GatewayAnswer("QUOTA_EXCEEDED", 429, {"message": "the key's daily quota is used up"}, {"Retry-After": "'3600'"}),
    GatewayAnswer(
        "INTEGRATION_FAILURE",
        503,
        {"message": f"no answer from the pipeline; {_SAME_ID}"},
        {"Retry-After": f"'{wire.RETRY_AFTER_SECONDS}'"},
    ),
    GatewayAnswer(
        "INTEGRATION_TIMEOUT", 504, {"message": f"no answer in time, the event may be processed; {_SAME_ID}"}
    ),
)
_UNSIGNED = GatewayAnswer(
    "MISSING_AUTHENTICATION_TOKEN",
    403,
    {"message": "the request is not signed (AWS Signature Version 4, service execute-api), or the path is unknown"},
)


def gateway_answers(*, signed: bool) -> tuple[GatewayAnswer, ...]:
    """The responses of an API. signed: API Gateway has one response for unsigned requests and for unknown paths."""
    return tuple(_UNSIGNED if signed and a.type == _UNSIGNED.type else a for a in GATEWAY_ANSWERS)


# Who, when and how much: no body, no header, and the id of the key, never its value.
ACCESS_LOG = json.dumps(
    {
        name: f"$context.{variable}"
        for name, variable in {
            "request_id": "requestId",
            "timestamp": "requestTimeEpoch",
            "method": "httpMethod",
            "path": "resourcePath",
            "status": "status",
            "error": "error.responseType",
            "response_bytes": "responseLength",
            "response_ms": "responseLatency",
            "integration_status": "integration.status",
            "integration_ms": "integration.latency",
            "api_key_id": "identity.apiKeyId",
            "caller": "identity.userArn",
            "source_ip": "identity.sourceIp",
            "trace_id": "xrayTraceId",
        }.items()
    }
)
