"""SQS's limits of one message, of a queue's name and of a redrive policy, in AWS's words."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_ATTRIBUTES = 10
MAX_DELAY_S = 900
MAX_RECEIVES = 1000
OTHER_TYPE = "The request includes a parameter that is not valid for this queue type."
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
_FIFO_NAME = re.compile(r"[A-Za-z0-9_-]{1,75}\.fifo")
_GROUP_ID = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")
_QUEUE_ARN = re.compile(r"arn:[^:]+:sqs:[^:]+:\d{12}:[^:]+")
_ATTRIBUTE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,256}")
_ATTRIBUTE_TYPE = re.compile(r"(String|Number|Binary)(\..+)?")
_REFUSED_CHARACTERS = re.compile("[^\u0009\u000a\u000d\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_RESERVED = ("aws.", "amazon.")

Message = dict[str, Any]
Refusal = tuple[str, str]  # the error's code and message


def refusal(message: Message, max_bytes: int, *, is_fifo: bool) -> Refusal | None:
    """Why SQS refuses a message; None if it takes it. A missing body is left to the engine."""
    body = str(message.get("MessageBody") or "")
    if _REFUSED_CHARACTERS.search(body):
        return (
            "InvalidMessageContents",
            "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | "
            "#xE000 to #xFFFD | #x10000 to #x10FFFF",
        )
    attributes = message.get("MessageAttributes") or {}
    reason = (
        _delay_reason(message.get("DelaySeconds"))
        or _group_reason(message, is_fifo=is_fifo)
        or _attributes_reason(attributes)
    )
    if reason is None and body and size(message) > max_bytes:
        reason = f"One or more parameters are invalid. Reason: Message must be shorter than {max_bytes} bytes."
    return None if reason is None else ("InvalidParameterValue", reason)


def size(message: Message) -> int:
    """What SQS counts of a message, in bytes: the body, and names, types and values of its attributes."""
    total = len(str(message.get("MessageBody") or "").encode("utf-8", "surrogatepass"))
    for name, attribute in (message.get("MessageAttributes") or {}).items():
        value = attribute.get("StringValue")
        # A binary value is in Base64 here, and counts as it is stored.
        length = len(attribute.get("BinaryValue") or "") * 3 // 4 if value is None else len(str(value).encode())
        total += len(name.encode()) + len(str(attribute.get("DataType") or "").encode()) + length
    return total


def within(value: Any, least: int, most: int) -> bool:
    """Whether a value is an integer of this range, as a number or as text."""
    try:
        return least <= int(str(value)) <= most
    except ValueError:
        return False


def name_refusal(name: str, *, is_fifo: bool) -> str | None:
    """Why SQS refuses a queue's name; None if it takes it."""
    if is_fifo:
        return (
            None
            if _FIFO_NAME.fullmatch(name)
            else "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must "
            "end with .fifo suffix and be 1 to 80 in length."
        )
    if _NAME.fullmatch(name):
        return None
    return "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"


def redrive_refusal(text: str) -> str | None:
    """Why SQS refuses a redrive policy; None if its form is right."""
    try:
        policy = json.loads(text)
    except ValueError:
        policy = None
    if not isinstance(policy, dict):
        return "Redrive policy is not a valid JSON map."
    for name in ("deadLetterTargetArn", "maxReceiveCount"):
        if not policy.get(name) and policy.get(name) != 0:
            return f"Redrive policy does not contain mandatory attribute: {name}."
    if not _QUEUE_ARN.fullmatch(str(policy["deadLetterTargetArn"])):
        return "Invalid value for deadLetterTargetArn."
    receives = policy["maxReceiveCount"]
    if not within(receives, 1, MAX_RECEIVES):
        return (
            f"Invalid value for maxReceiveCount: {receives}, valid values are from 1 to {MAX_RECEIVES} both inclusive."
        )
    return None


def redrive_target(text: str) -> str:
    """The ARN of the dead-letter queue in a redrive policy whose form is right."""
    return str(json.loads(text)["deadLetterTargetArn"])


def _delay_reason(delay: Any) -> str | None:
    if delay is None or within(delay, 0, MAX_DELAY_S):
        return None
    return (
        f"Value {delay} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= {MAX_DELAY_S}."
    )


def _group_reason(message: Message, *, is_fifo: bool) -> str | None:
    group, deduplication = message.get("MessageGroupId"), message.get("MessageDeduplicationId")
    if group is not None and not _GROUP_ID.fullmatch(str(group)):
        return (
            f"Value {group} for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include "
            "alphanumeric and punctuation characters. 1 to 128 in length."
        )
    if deduplication is None:
        return None
    if not is_fifo:
        return f"Value {deduplication} for parameter MessageDeduplicationId is invalid. Reason: {OTHER_TYPE}"
    if not _GROUP_ID.fullmatch(str(deduplication)):
        return (
            f"Value {deduplication} for parameter MessageDeduplicationId is invalid. Reason: MessageDeduplicationId "
            "can only include alphanumeric and punctuation characters. 1 to 128 in length."
        )
    return None


def _attributes_reason(attributes: dict[str, dict[str, Any]]) -> str | None:
    if len(attributes) > MAX_ATTRIBUTES:
        return f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [{MAX_ATTRIBUTES}]."
    for name, attribute in attributes.items():
        reason = _attribute_reason(name, attribute)
        if reason is not None:
            return reason
    return None


def _attribute_reason(name: str, attribute: dict[str, Any]) -> str | None:
    dotted = name.startswith(".") or name.endswith(".") or ".." in name
    if not name:
        return "The request must contain non-empty message attribute name."
    if not _ATTRIBUTE_NAME.fullmatch(name) or dotted or name.lower().startswith(_RESERVED):
        return (
            f"Message (user) attribute name '{name}' is invalid: it can contain A-Z, a-z, 0-9, underscore (_), hyphen "
            "(-), and period (.) characters, and cannot start or end with a period, or start with AWS. or Amazon."
        )
    kind = str(attribute.get("DataType") or "")
    if not kind:
        return f"The message attribute '{name}' must contain non-empty message attribute type."
    if not _ATTRIBUTE_TYPE.fullmatch(kind):
        return (
            f"The message attribute '{name}' has an invalid message attribute type, the set of supported type "
            "prefixes is Binary, Number, and String."
        )
    value = attribute.get("BinaryValue" if kind.startswith("Binary") else "StringValue")
    if not value:
        return f"Message (user) attribute '{name}' must contain a non-empty value of type '{kind.partition('.')[0]}'."
    if kind.startswith("Number") and not _is_number(str(value)):
        return f"Can't cast the value of message (user) attribute '{name}' to a number."
    if kind.startswith("String") and _REFUSED_CHARACTERS.search(str(value)):
        return f"Message (user) attribute '{name}' contains characters outside the allowed set."
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
