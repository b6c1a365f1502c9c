"""The message contract: names, limits, and the forms of ids and times that functions, stack and commands agree on.

Standard library only: the file is part of the functions' code, and the stack and the commands import it as it is.
"""

from __future__ import annotations

import re
import zlib

# Message attributes. All are strings; SQS accepts ten per message.
SOURCE = "rtp_source"  # one of SOURCES
REQUEST_ID = "rtp_request_id"  # with REQUEST_TIME: the identity of an event without an id
REQUEST_TIME = "rtp_request_time"  # epoch ms
DEPTH = "rtp_depth"  # how many emissions led to this event
REPLAY = "rtp_replay"  # the run of `rtp replay` that sent the message
REDRIVE = "rtp_redrive"  # RUN#ID: the run of `rtp dlq redrive` that sent the message, and the DLQ message that it was
DRILL_RUN = "rtp_drill"  # the run of `rtp drill` that sent the message; no client of the API can set it
ERROR_TYPE = "rtp_error_type"  # with ERROR_MESSAGE: why rtp moved the message to the DLQ
ERROR_MESSAGE = "rtp_error_message"
TRACE_HEADER = "AWSTraceHeader"  # the system attribute that carries the trace

SOURCES = ("api", "queue", "replay", "redrive")
DRILL = "rtp.drill"  # the type of a drill's events, which nobody else may send or process
FAULTS = ("poison", "flood", "duplicate", "slow", "throttle", "blocked")  # of drills
STATUSES = ("processing", "processed", "failed", "dead")  # of a record
RELEASE_FILE = "rtp/release"
"""The file in the code's zip that names its release; outside Lambda there is none."""
RELEASE_LENGTH = 12  # hexadecimal digits
RAW_PREFIX, PROCESSED_PREFIX = "raw/", "processed/"  # in the bucket
METRIC_NAMESPACE = "rtp"

RETRY_AFTER_SECONDS = 5  # of a 503
REPLAYED_HEADER = "Idempotent-Replayed"  # the header's established name: the response is that of an earlier request

# rtp's own limits.
MAX_BODY_BYTES = 256 * 1024  # of an event's JSON text
MAX_NAME = 128  # characters of an event's id and of its type
MAX_TIMESTAMP = 253_402_300_799_999  # epoch ms; the end of the year 9999
SECONDS = (946_684_800, 4_102_444_800)  # epoch s of 2000 and 2100; no event has them as ms, days of early 1970
MAX_DEPTH = 8  # emissions in a chain; AWS itself stops a loop of messages after 16
MAX_LEVELS = 64  # of objects and arrays inside each other
MAX_DIGITS = 38  # of a number; DynamoDB's own limit

# Items of the table that are no records begin so: longer than an event's id may be, and they have no status.
GROUP_MEMORY = "rtp-triage-".ljust(MAX_NAME + 1, "-")  # what was said of a group of failures
GROUP_NOTICE = "rtp-notice-".ljust(MAX_NAME + 1, "-")  # what the notifier has counted and sent of it

# SQS's limits.
MAX_ATTRIBUTES = 10  # of a message
MAX_BATCH_ENTRIES = 10
MAX_MESSAGE_BYTES = 1024 * 1024  # body and attributes; 256 KiB until August 2025
MAX_BATCH_BYTES = 256 * 1024  # of one SendMessageBatch; older endpoints allow no more
MAX_DELAY_SECONDS = 900
MAX_VISIBILITY_SECONDS = 43_200  # from the first receive
MAX_DIMENSION = 1024  # characters of a CloudWatch dimension's value

# SQS's documentation has said of these two both that it refuses them and that it replaces them by U+FFFD. In JSON text
# they occur inside strings alone, where an escape means the same.
_NONCHARACTERS = {"\ufffe": r"\ufffe", "\uffff": r"\uffff"}

_DIMENSION = re.compile(r"[!-$&-9;-~][ -$&-~]*")
_PRINTABLE = re.compile(r"[!-$&-9;-~]")

UUID7 = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$"
_UUID7 = re.compile(UUID7.strip("^$"))


def message_body(text: str) -> str:
    """JSON text as the body of a message: the characters that SQS does not carry are escaped."""
    for character, escape in _NONCHARACTERS.items():
        if character in text:
            text = text.replace(character, escape)
    return text


def request_body(text: str) -> str:
    """JSON text as the body of a request to the API, which takes U+FFFD for bytes that are not UTF-8."""
    return message_body(text).replace("\ufffd", r"\ufffd")


def redriven(mark: str) -> tuple[str, str]:
    """Return run and DLQ message id of a message's attribute REDRIVE; empty ones for another text."""
    run, _, message_id = mark.partition("#")
    return run, message_id


def metric_dimension(text: str) -> str:
    """An event's type as CloudWatch takes it as a dimension's value: printable ASCII that does not begin with a colon.

    Other characters are percent-encoded (UTF-8), and so is the percent sign: `urllib.parse.unquote` gives the type.
    A value that is then longer than CloudWatch allows ends in a checksum instead of the rest.
    """
    if _DIMENSION.fullmatch(text):
        return text
    encoded = "".join(c if _PRINTABLE.fullmatch(c) else "".join(f"%{b:02X}" for b in c.encode()) for c in text)
    if len(encoded) <= MAX_DIMENSION:
        return encoded
    return f"{encoded[: MAX_DIMENSION - 9]}~{zlib.crc32(text.encode()):08x}"


def uuid7_timestamp(id: str) -> int | None:
    """Return the time in a UUIDv7, epoch ms; None for any other id."""
    return int(id.replace("-", "")[:12], 16) if _UUID7.fullmatch(id) else None


def fallback_identity(request_id: str, request_time: str, *, message_id: str, sent_at: int) -> tuple[str, int]:
    """Return the identity (id, timestamp) of an event without an id: its request's, or else its message's.

    request_id and request_time are the message's attributes; sent_at is epoch ms.
    """
    return request_id[:MAX_NAME] or message_id, integer(request_time, digits=14, otherwise=sent_at)


def integer(text: str, *, digits: int, otherwise: int) -> int:
    """Return the number in a message attribute; `otherwise` if it is not one, since anybody can send messages."""
    return int(text) if text.isdecimal() and len(text) <= digits else otherwise
