"""SQS's limits: what AWS refuses is refused, with AWS's code and words."""

from __future__ import annotations

import functools
import os
import time
from typing import TYPE_CHECKING, Any

from rtp.local import message_limits
from rtp.local.message_limits import within
from rtp.local.patches.patch import QUEUE_PAUSE, Patch, replace, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.telemetry import Telemetry

# Between two purges of a queue, and between a deletion and the next queue of the same name.
PAUSE_S = float(os.environ.get(QUEUE_PAUSE, "60"))
MAX_ENTRIES = 10
_ONLY_FIFO = {"FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"}
_WRITABLE = {
    "DelaySeconds",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "Policy",
    "ReceiveMessageWaitTimeSeconds",
    "RedriveAllowPolicy",
    "RedrivePolicy",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
}
_READABLE = _WRITABLE | {
    "All",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
}

Data = dict[str, Any]


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import sqs

    require(sqs, "_HANDLERS", "_Err", "_queue_url", "_queues", "_NUMERIC_ATTR_RANGES", "_queue_by_arn")
    limits = Limits(sqs)
    limits.queue_one = replace(sqs, "_get_q", limits.queue, "url action")
    limits.send_one = replace(sqs, "_act_send_message", limits.send, "data qurl")
    limits.check_entries = replace(sqs, "_validate_batch_entries", limits.entries, "entries entry_name")
    replace(sqs, "_validate_numeric_attrs", limits.numbers, "attrs")
    replace(sqs, "_validate_redrive_policy", limits.redrive_policy, "rp_str")
    for action, check in (
        ("CreateQueue", limits.create),
        ("DeleteQueue", limits.delete),
        ("SetQueueAttributes", limits.set_attributes),
        ("ReceiveMessage", limits.receive),
        ("PurgeQueue", limits.purge),
    ):
        sqs._HANDLERS[action] = limits.checked(sqs._HANDLERS[action], check)
    limits.filter_one = replace(sqs, "_filter_msg_attrs", limits.named, "attrs names")
    limits.attributes_one = sqs._HANDLERS["GetQueueAttributes"]
    sqs._HANDLERS["GetQueueAttributes"] = limits.get_attributes


PATCH = Patch(
    name="queue_limits",
    aws=(
        "A request outside SQS's limits is refused: wait times, timeouts, delays, sizes with attributes, names, a "
        "second purge within 60 s, a new queue with the name of one deleted less than 60 s ago."
    ),
    engine="Most of these are accepted, and the errors of the others have other messages.",
    test="tests/local/engine/test_answers.py::test_the_engine_answers_as_aws_does",
    install=install,
)


class Limits:
    """Checks before the engine's own handlers."""

    attributes_one: Any
    filter_one: Any
    queue_one: Any
    send_one: Any
    check_entries: Any

    def __init__(self, sqs: Any) -> None:
        self._sqs = sqs
        self._purged: dict[str, float] = {}  # by queue's ARN, when it was purged
        self._deleted: dict[str, float] = {}  # by queue's URL, when it was deleted

    def checked(self, handler: Any, check: Callable[[Data, str], None]) -> Any:
        """The handler, called once `check` has passed."""

        @functools.wraps(handler)
        def checked(data: Data, qurl: str) -> Any:
            check(data, data.get("QueueUrl", qurl))
            return handler(data, qurl)

        return checked

    def queue(self, url: str, action: str | None = None) -> Any:
        """The queue of this URL, or AWS's error."""
        try:
            return self.queue_one(url, action)
        except self._sqs._Err as error:
            if error.code == "QueueDoesNotExist":
                raise self._error(error.code, "The specified queue does not exist.") from None
            raise

    def send(self, data: Data, qurl: str) -> Any:
        """SendMessage, and each entry of SendMessageBatch."""
        queue = self._sqs._get_q(data.get("QueueUrl", qurl))
        refusal = message_limits.refusal(data, int(queue["attributes"]["MaximumMessageSize"]), is_fifo=queue["is_fifo"])
        if refusal is not None:
            raise self._error(*refusal)
        return self.send_one(data, qurl)

    def entries(self, entries: list[Data], entry_name: str) -> None:
        """The entries of a batch."""
        if len(entries or ()) > MAX_ENTRIES:
            raise self._error(
                "TooManyEntriesInBatchRequest",
                f"Maximum number of entries per request are {MAX_ENTRIES}. You have sent {len(entries)}.",
            )
        self.check_entries(entries, entry_name)

    def numbers(self, attrs: Data) -> None:
        """Attributes of a queue that are numbers."""
        for name, (least, most) in self._sqs._NUMERIC_ATTR_RANGES.items():
            if name in attrs and not within(attrs[name], least, most):
                raise self._error("InvalidAttributeValue", f"Invalid value for the parameter {name}.")

    def redrive_policy(self, text: str) -> None:
        """The redrive policy of a queue."""
        reason = message_limits.redrive_refusal(text)
        if reason is None and self._sqs._queue_by_arn(message_limits.redrive_target(text)) is None:
            reason = "Dead letter target does not exist."
        if reason is not None:
            raise self._invalid(text, "RedrivePolicy", reason)

    def create(self, data: Data, _url: str) -> None:
        """CreateQueue."""
        name, attributes = str(data.get("QueueName") or ""), data.get("Attributes") or {}
        is_fifo = str(attributes.get("FifoQueue", "")).lower() == "true"
        reason = message_limits.name_refusal(name, is_fifo=is_fifo)
        if name and reason:
            raise self._error("InvalidParameterValue", reason)
        self._check_names(attributes, _WRITABLE | _ONLY_FIFO if is_fifo else _WRITABLE)
        self._check_encryption(attributes)
        if self._within_pause(self._deleted, self._sqs._queue_url(name)):
            raise self._error(
                "QueueDeletedRecently",
                "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
            )

    def delete(self, _data: Data, url: str) -> None:
        """DeleteQueue."""
        self._deleted[self._sqs._get_q(url)["url"]] = time.monotonic()

    def set_attributes(self, data: Data, url: str) -> None:
        """SetQueueAttributes."""
        is_fifo = self._sqs._get_q(url)["is_fifo"]
        self._check_names(data.get("Attributes") or {}, _WRITABLE | _ONLY_FIFO if is_fifo else _WRITABLE)
        self._check_encryption(data.get("Attributes") or {})

    def get_attributes(self, data: Data, qurl: str) -> Any:
        """GetQueueAttributes. As on AWS it returns none if it names none."""
        attributes = self._sqs._get_q(data.get("QueueUrl", qurl))["attributes"]
        attributes.setdefault("SqsManagedSseEnabled", "false" if attributes.get("KmsMasterKeyId") else "true")
        names = data.get("AttributeNames") or []
        self._check_names(names, _READABLE | _ONLY_FIFO)
        return self.attributes_one(data, qurl) if names else {}

    def named(self, attrs: Data, names: list[str]) -> Any:
        """The attributes of a message that a receive names; a star alone names all."""
        return self.filter_one(attrs, ["All"] if "*" in (names or ()) else names)

    def receive(self, data: Data, url: str) -> None:
        """ReceiveMessage."""
        is_fifo = self._sqs._get_q(url)["is_fifo"]
        for name, most in (("WaitTimeSeconds", 20), ("VisibilityTimeout", 43_200)):
            if name in data and not within(data[name], 0, most):
                raise self._invalid(data[name], name, f"Must be >= 0 and <= {most}, if provided.")
        attempt = data.get("ReceiveRequestAttemptId")
        if attempt is not None and not is_fifo:
            raise self._invalid(attempt, "ReceiveRequestAttemptId", message_limits.OTHER_TYPE)

    def purge(self, _data: Data, url: str) -> None:
        """PurgeQueue."""
        queue = self._sqs._get_q(url)
        arn = queue["attributes"]["QueueArn"]
        if self._within_pause(self._purged, arn):
            raise self._error(
                "PurgeQueueInProgress",
                f"Only one PurgeQueue operation on {queue['name']} is allowed every 60 seconds.",
                403,
            )
        self._purged[arn] = time.monotonic()

    def _check_names(self, names: Any, valid: set[str]) -> None:
        for name in names:
            if name not in valid:
                raise self._error("InvalidAttributeName", f"Unknown Attribute {name}.")

    def _check_encryption(self, attributes: Data) -> None:
        if attributes.get("KmsMasterKeyId") and str(attributes.get("SqsManagedSseEnabled")).lower() == "true":
            raise self._error(
                "InvalidAttributeName",
                "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or "
                "SQS SSE.",
            )

    @staticmethod
    def _within_pause(times: dict[str, float], key: str) -> bool:
        return time.monotonic() - times.get(key, float("-inf")) < PAUSE_S

    def _invalid(self, value: Any, name: str, reason: str) -> Exception:
        return self._error("InvalidParameterValue", f"Value {value} for parameter {name} is invalid. Reason: {reason}")

    def _error(self, code: str, message: str, status: int = 400) -> Exception:
        error: Exception = self._sqs._Err(code, message, status)
        return error
