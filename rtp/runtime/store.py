"""DynamoDB: one item an event. Conditional writes make a repeat harmless and let one delivery at a time run.

claim   takes the event with a lease that ends with the function's time; refused while another runs, or once processed
keep    writes an event that needs no processing, in one step; refused if there is a record
finish  ends the claim with the attempt's outcome; refused if the lease was lost

On its last delivery an event is claimed as `dead`, with `Interrupted` as the reason, so that the record is right even
if the function is killed. Whatever its status, a record whose `lease_until` lies ahead is being worked on.

Each has a form for a whole batch, which takes the usual case in one call (rtp.runtime.statements) and leaves the rest
to the single form.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from rtp.runtime import attributes, items, jsontext, statements
from rtp.runtime.errors import info
from rtp.runtime.items import Claim, Ending, Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rtp.runtime.archive import Archive
    from rtp.runtime.event import Event, Identity
    from rtp.runtime.items import Attributes

_MAX_INLINE = {"data": 180_000, "result": 140_000}  # bytes; the rest of the 400 KB is for attempts and the small fields
_MAX_LEASE = 900 + 60  # s; a lease that ends later was written by a clock that is wrong
_FREE = (
    "attribute_not_exists(id) OR (#status <> :processed AND "
    "(attribute_not_exists(lease_until) OR lease_until < :now OR lease_until > :horizon))"
)
# A replay may have a processed event too, once: a second delivery of the same run finds it done.
_AGAIN = f"({_FREE}) OR (#status = :processed AND (attribute_not_exists(replay_run) OR replay_run <> :_replay_run))"
_INTERRUPTED = info("Interrupted", "the last attempt came to no end: killed, or out of time or memory")


class Known(NamedTuple):
    """The event has been processed; this is its record, without what is kept beside it."""

    record: dict[str, Any]


class Busy(NamedTuple):
    """Another delivery works on the event until `until` (epoch s); `message_id` is its message, if that comes again."""

    until: float
    message_id: str = ""


class Wanted(NamedTuple):
    """A delivery that asks for its event. `token` makes a repeated request the same one."""

    event: Event
    origin: Origin
    until: float
    last: bool
    token: str

    @classmethod
    def of(cls, event: Event, origin: Origin, *, until: float, last: bool) -> Wanted:
        """With a token of its own."""
        return cls(event, origin, until, last, os.urandom(12).hex())


class Store:
    """The table. Values too large for an item are kept in the archive, and read from there."""

    def __init__(
        self, dynamodb: Any, table: str, archive: Archive, *, shards: int = 4, clock: Callable[[], float] = time.time
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._archive = archive
        self._shards = shards
        self._clock = clock

    def claim(self, wanted: Wanted) -> Claim | Known | Busy:
        """Take the event for this delivery."""
        now = self._clock()
        sets = self._claimed(wanted, now)
        # A request has no message: the one of an earlier delivery must not seem to stand for it.
        removes = [name for name in ("data" if "data_key" in sets else "data_key", "message_id") if name not in sets]
        values = {
            ":processed": {"S": "processed"},
            ":now": items.millis(now),
            ":horizon": items.millis(now + _MAX_LEASE),
            ":zero": {"N": "0"},
            ":one": {"N": "1"},
        }
        counted = ", attempt_count = if_not_exists(attempt_count, :zero) + :one"
        counted += ", accepted_at = if_not_exists(accepted_at, :now)"
        try:
            free = _AGAIN if wanted.origin.replay else _FREE
            old = self._update(wanted.event.identity, sets, counted, removes, values, free, "ALL_OLD")
        except self._dynamodb.exceptions.ConditionalCheckFailedException as refused:
            item = refused.response.get("Item") or {}
            if item.get("lease", {}).get("S") == wanted.token:  # our own write, sent again since its answer was lost
                return Claim(wanted.token, int(item["attempt_count"]["N"]), _attempts(item), wanted.until)
            return self._standing(item)
        number = int(old["attempt_count"]["N"]) + 1 if "attempt_count" in old else 1
        return Claim(wanted.token, number, _attempts(old), wanted.until, fresh=not old and not wanted.last)

    def claim_all(self, wanted: Sequence[Wanted]) -> list[Claim | None]:
        """Take events that have no record yet, in one call; None for each that has to be claimed singly."""
        now = self._clock()
        first = {"attempt_count": {"N": "1"}, "accepted_at": items.millis(now)}
        new = [{**items.key(w.event.identity), **self._claimed(w, now), **first} for w in wanted]
        done = statements.insert(self._dynamodb, self._table, new)
        return [
            Claim(w.token, 1, [], w.until, fresh=not w.last) if did else None
            for w, did in zip(wanted, done, strict=True)
        ]

    def condemn(self, event: Event, claim: Claim) -> None:
        """Have the record say what it would have to if this attempt were killed, where only its claim told it is last.

        Nothing is written if the lease was lost.
        """
        sets = {**items.status(event.id, "dead", self._shards), "error": items.error(_INTERRUPTED)}
        with suppress(self._dynamodb.exceptions.ConditionalCheckFailedException):
            self._update(event.identity, sets, "", [], {":token": {"S": claim.token}}, "lease = :token", "NONE")

    def keep(self, event: Event, origin: Origin, started: float) -> Known | None:
        """Write an event that is stored as it came. None when written, else the processed record that is there.

        Raises LookupError when an unfinished record stands in the way, which has to be claimed.
        """
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item=self._kept(event, origin, started),
                ConditionExpression="attribute_not_exists(id)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException as refused:
            standing = self._standing(refused.response.get("Item") or {})
            if isinstance(standing, Known):
                return standing
            raise LookupError(event.id) from None
        return None

    def keep_all(self, kept: Sequence[tuple[Event, Origin, float]]) -> list[bool]:
        """Write events that are stored as they came, in one call; False for each that has to be kept singly."""
        return statements.insert(self._dynamodb, self._table, [self._kept(*one) for one in kept])

    def finish(self, event: Event, origin: Origin, claim: Claim, ending: Ending) -> Known | Busy | None:
        """Write how the attempt ended. None when written; otherwise who has the event now."""
        sets = self._ended(event, origin, claim, ending)
        removes = ["error"] if ending.error is None else []
        removes += [name for name in ("result", "result_key") if name not in sets]
        try:
            self._update(event.identity, sets, "", removes, {":token": {"S": claim.token}}, "lease = :token", "NONE")
        except self._dynamodb.exceptions.ConditionalCheckFailedException as refused:
            return self._standing(refused.response.get("Item") or {})
        return None

    def finish_all(self, endings: Sequence[tuple[Event, Origin, Claim, Ending]]) -> list[bool]:
        """Write how attempts ended, in one call; False for each that has to be finished singly.

        Where there may be attributes to remove, of an earlier attempt or of a failure, it is left to `finish`.
        """
        easy = [index for index, (_, _, claim, ending) in enumerate(endings) if claim.fresh and not ending.error]
        changes = []
        for index in easy:
            event, origin, claim, ending = endings[index]
            where = {**items.key(event.identity), "lease": {"S": claim.token}}
            changes.append((self._ended(event, origin, claim, ending), where))
        done = dict(zip(easy, statements.update(self._dynamodb, self._table, changes), strict=True))
        return [done.get(index, False) for index in range(len(endings))]

    def get(self, identity: Identity) -> Known | Busy | None:
        """Where the event stands now: processed, being worked on, or neither."""
        found = self._dynamodb.get_item(TableName=self._table, Key=items.key(identity), ConsistentRead=True).get("Item")
        return self._standing(found) if found else None

    def _claimed(self, wanted: Wanted, now: float) -> Attributes:
        event, last = wanted.event, wanted.last
        return {
            **items.status(event.id, "dead" if last else "processing", self._shards),
            **items.came(event, wanted.origin),
            **self._value(event.identity, "data", event.data),
            **({"error": items.error(_INTERRUPTED)} if last else {}),
            "lease": {"S": wanted.token},
            "lease_until": items.millis(wanted.until),
            "attempted_at": items.millis(now),
        }

    def _kept(self, event: Event, origin: Origin, started: float) -> Attributes:
        now = self._clock()
        claim, ending = Claim("", 1, [], 0), Ending("processed", "processed", started)
        return {
            **items.key(event.identity),
            **items.status(event.id, "processed", self._shards),
            **items.came(event, origin),
            **self._value(event.identity, "data", event.data),
            "attempts": items.attempts(claim, ending, origin, now),
            "attempt_count": {"N": "1"},
            "accepted_at": items.millis(started),
            "processed_at": items.millis(now),
        }

    def _ended(self, event: Event, origin: Origin, claim: Claim, ending: Ending) -> Attributes:
        now = self._clock()
        made = {
            **items.status(event.id, ending.status, self._shards),
            "attempts": items.attempts(claim, ending, origin, now),
            "lease_until": {"N": "0"},
        }
        if ending.error is not None:
            made["error"] = items.error(ending.error)
            return made
        made["processed_at"] = items.millis(now)
        return made if ending.result is None else made | self._value(event.identity, "result", ending.result)

    def _value(self, identity: Identity, name: str, value: Any) -> Attributes:
        """The value as an attribute, or `name`_key with where it is kept when an item cannot hold it."""
        try:
            packed = attributes.pack(value)
            if attributes.size(packed) <= _MAX_INLINE[name]:
                return {name: packed}
        except attributes.NotNativeError:
            pass
        return {f"{name}_key": {"S": self._archive.write_value(identity, name, jsontext.dumps(value))}}

    def _standing(self, item: Attributes) -> Known | Busy:
        status = item.get("status", {}).get("S")
        if status != "processed":
            until = int(item.get("lease_until", {"N": "0"})["N"]) / 1000
            # A message in its last attempt does not come again, so nothing may be left to it.
            return Busy(until, item.get("message_id", {}).get("S", "") if status == "processing" else "")
        return Known({name: attributes.unpack(value) for name, value in item.items()})

    def _update(
        self,
        identity: Identity,
        sets: Attributes,
        counted: str,
        removes: list[str],
        values: Attributes,
        condition: str,
        returned: str,
    ) -> Attributes:
        names = {f"#{name}": name for name in [*sets, *removes]}
        changes = ", ".join(f"#{name} = :_{name}" for name in sets)
        removed = f" REMOVE {', '.join(f'#{name}' for name in removes)}" if removes else ""
        made: dict[str, Attributes] = self._dynamodb.update_item(
            TableName=self._table,
            Key=items.key(identity),
            UpdateExpression=f"SET {changes}{counted}{removed}",
            ConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={**values, **{f":_{name}": value for name, value in sets.items()}},
            ReturnValues=returned,
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
        return made.get("Attributes", {})


def _attempts(item: Attributes) -> list[dict[str, Any]]:
    return list(attributes.unpack(item["attempts"])) if "attempts" in item else []
