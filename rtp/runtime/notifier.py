"""The notifier: when events die, one message for each group of failures, to the alarm topic and to a webhook for chat.

Lambda calls it with the changes of the table that make a record dead. Of each group it reads what `rtp triage ack`,
`mute` and `resolve` said, counts the failures in an item of its own, and takes the group's turn by a conditional write
before it sends. A message that reaches nobody gives the turn back and fails the call: Lambda repeats it. One that
reaches the topic alone fails the call too, so that an alarm fires.
"""

from __future__ import annotations

import json
import os
import re
import time
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple

from rtp.runtime import attributes, errors, logs, masking, notices, secrets, wire
from rtp.runtime.notices import Failure, Notice, Said

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rtp.runtime.notices import Message

_TRIES = 8  # of a conditional write that another invocation of the function is ahead of
_TIMEOUT_S = 5.0
_LOOPBACK = re.compile(r"http://(?:127\.0\.0\.1|localhost|\[::1\]):\d{1,5}(?:/[^@\\]*)?", re.ASCII)
_MOST = 10**14  # of a number in an item, times in epoch ms among them
_ALL = "all"  # the item that counts the messages of every group


class NotifierError(Exception):
    """Messages could not be sent."""


class Settings(NamedTuple):
    """command: that shows a group, whose id follows. topic: ARN; empty for none.

    webhook: source of the secret with its address; empty for none.
    """

    project: str
    env: str
    table: str
    command: str
    retention_days: int
    topic: str = ""
    webhook: str = ""

    @property
    def stack(self) -> str:
        """Name of the stack."""
        return f"{self.project}-{self.env}"


class Parts(NamedTuple):
    """What the function works with. post: sends a body to an address. fetch: source of a secret -> its value."""

    settings: Settings
    dynamodb: Any
    sns: Any
    post: Callable[[str, bytes], None]
    fetch: Callable[[str], str] = secrets.fetch
    clock: Callable[[], float] = time.time


def handler(event: dict[str, Any], _context: Any) -> None:
    """Lambda's entry point for changes of the table."""
    logs.install("INFO")
    handle(event, _parts(os.environ))


def handle(event: dict[str, Any], parts: Parts) -> None:
    """Send what is due about these changes. Raises NotifierError where a group's message could not be sent."""
    days = parts.settings.retention_days
    found = [f for change in event.get("Records", ()) if (f := notices.failure(change, days)) is not None]
    by_group: dict[str, list[Failure]] = {}
    for failure in found:
        by_group.setdefault(failure.group.id, []).append(failure)
    failed = 0
    for id, failures in by_group.items():
        try:
            _notify(parts, id, failures)
        except Exception as error:
            failed += 1
            # An address is a secret, and texts of urllib may have it.
            logs.error("notify", f"group {id}: {errors.describe(error).message}", error_type=type(error).__name__)
    if failed:
        raise NotifierError(f"{failed} of {len(by_group)} groups of failures have no message")


def _notify(parts: Parts, id: str, failures: list[Failure]) -> None:
    """Count the failures of a group, and send a message where one is due."""
    now = int(parts.clock() * 1000)
    for _ in range(_TRIES):
        said = _said(_read(parts, wire.GROUP_MEMORY + id))
        before = _notice(_read(parts, wire.GROUP_NOTICE + id))
        counted = notices.counted(before, said, failures, now)
        is_due = notices.is_due(counted, said, failures, now)
        after = counted._replace(sent=now, unsent=0) if is_due else counted
        if after == before:
            return
        if not _write(parts, wire.GROUP_NOTICE + id, after._asdict(), over=before.version):
            continue
        if is_due:
            settings = parts.settings
            message = notices.message(settings.stack, settings.command, counted, said, failures, now)
            problems, has_arrived = _send(parts, message, now)
            if problems and not has_arrived:
                _write(parts, wire.GROUP_NOTICE + id, counted._asdict(), over=before.version + 1)
            if problems:
                raise problems[0]
            logs.info("notified", f"group {id}: {counted.unsent} events", group=id)
        return
    raise NotifierError("its item is being changed by others")


def _send(parts: Parts, message: Message, now: int) -> tuple[list[Exception], bool]:
    """Send a message to topic and webhook. Returns what failed, and whether it arrived at one of them.

    An environment that has had its number of messages gets one that says so, and then none.
    """
    settings, number = parts.settings, _number(parts, now)
    if number > notices.MOST + 1:
        return [], True
    if number == notices.MOST + 1:
        message = notices.overflow(settings.stack)
    ways = [send for is_set, send in ((settings.topic, _publish), (settings.webhook, _chat)) if is_set]
    problems: list[Exception] = []
    for send in ways:
        try:
            send(parts, message)
        except Exception as error:  # the other way may still work
            problems.append(error)
    return problems, len(problems) < len(ways)


def _number(parts: Parts, now: int) -> int:
    """The number of this message among those of all groups in 15 minutes."""
    for _ in range(_TRIES):
        item = _read(parts, wire.GROUP_NOTICE + _ALL)
        numbers = (item.get(name, 0) for name in ("begin", "sent", "version"))
        begin, sent, version = (n if isinstance(n, int) and 0 <= n < _MOST else 0 for n in numbers)
        if not 0 <= now - begin < notices.WINDOW_MS:
            begin, sent = now, 0
        if _write(parts, wire.GROUP_NOTICE + _ALL, {"begin": begin, "sent": sent + 1}, over=version):
            return sent + 1
    return 1  # rather one message too many than none


def _publish(parts: Parts, message: Message) -> None:
    parts.sns.publish(TopicArn=parts.settings.topic, Subject=message.subject, Message=message.text)


def _chat(parts: Parts, message: Message) -> None:
    """Send to the webhook: Slack's form, which Google Chat, Mattermost, Rocket.Chat and Discord's /slack take too."""
    address = parts.fetch(parts.settings.webhook).strip()
    masking.hide(address)
    if not address.startswith("https://") and not _LOOPBACK.fullmatch(address):
        raise NotifierError("the secret of alarm_webhook is no address that begins with https://")
    # Nobody may be called by a type of events: <!channel>, @here.
    text = message.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "(at)")
    parts.post(address, json.dumps({"text": text}).encode())


def _read(parts: Parts, id: str) -> dict[str, Any]:
    """An item's values; none where it does not exist."""
    found = parts.dynamodb.get_item(TableName=parts.settings.table, Key=_key(id), ConsistentRead=True).get("Item")
    return {name: attributes.unpack(value) for name, value in (found or {}).items()}


def _write(parts: Parts, id: str, values: Mapping[str, Any], *, over: int) -> bool:
    """Write an item whose version is `over`, 0 for one that does not exist. Returns whether it is written.

    A write whose answer was lost is repeated by the client and then meets itself: the token says whose it is.
    """
    token = os.urandom(8).hex()
    item = {name: attributes.pack(value) for name, value in {**values, "version": over + 1, "token": token}.items()}
    condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(id)"}
    if over:
        condition = {
            "ConditionExpression": "#version = :version",
            "ExpressionAttributeNames": {"#version": "version"},
            "ExpressionAttributeValues": {":version": {"N": str(over)}},
        }
    try:
        parts.dynamodb.put_item(TableName=parts.settings.table, Item={**_key(id), **item}, **condition)
    except parts.dynamodb.exceptions.ConditionalCheckFailedException:
        return bool(_read(parts, id).get("token") == token)
    return True


def _key(id: str) -> dict[str, Any]:
    return {"id": {"S": id}, "timestamp": {"N": "0"}}


def _said(item: Mapping[str, Any]) -> Said:
    """What was said of the group in an item of `rtp triage`; nothing where it has another shape."""
    try:
        return Said(
            said=str(item["said"]),
            at=int(item["at"]),
            until=int(item["until"]),
            until_count=int(item["until_count"]),
            rate=int(item["rate"]) / 1000,
            release=str(item["release"]),
            before=tuple(str(each) for each in item["before"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return Said()


def _notice(item: Mapping[str, Any]) -> Notice:
    """What is counted of a group in the notifier's own item; nothing where another program wrote it."""
    kinds = {name: type(default) for name, default in Notice._field_defaults.items()}
    given = {name: item[name] for name in kinds if name in item}
    if all(
        isinstance(value, kinds[name]) and (kinds[name] is str or 0 <= value < _MOST) for name, value in given.items()
    ):
        return Notice(**given)
    version = given.get("version")
    return Notice(version=version if isinstance(version, int) else 0)


def _parts(env: Mapping[str, str]) -> Parts:
    import botocore.session
    from botocore.config import Config

    config = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 4})
    session = botocore.session.Session()
    settings = Settings(
        project=env["RTP_PROJECT"],
        env=env["RTP_ENV"],
        table=env["RTP_TABLE"],
        command=env["RTP_COMMAND"],
        retention_days=int(env["RTP_DLQ_RETENTION_DAYS"]),
        topic=env.get("RTP_TOPIC", ""),
        webhook=env.get("RTP_WEBHOOK", ""),
    )
    dynamodb, sns = (session.create_client(service, config=config) for service in ("dynamodb", "sns"))
    return Parts(settings, dynamodb, sns, post)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Another place must not get the message: a redirect is an error."""

    def redirect_request(self, *_: Any) -> None:
        return None


def post(address: str, body: bytes) -> None:
    """Send a JSON body. Raises OSError where the answer is not 2xx."""
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})  # noqa: S310 (checked)
    urllib.request.build_opener(_NoRedirects).open(request, timeout=_TIMEOUT_S).close()
