"""DynamoDB: one item per event. Conditional writes make repeated deliveries harmless and allow one attempt at a time.

claim   gives the delivery a lease until the function's time ends; refused while another lease runs, once processed, or
        if the record has other content and is not dead
finish  writes how the attempt ended; refused if the lease was lost. An event without a claim is inserted, in one step

Each has a form for a whole batch, which writes the usual case in one call (rtp.runtime.statements) and returns the
others to the caller for the single form.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rtp.runtime import attributes, dlqnote, items, statements
from rtp.runtime.claims import Claim, ClaimRequest, Conflicting, Leased, Processed
from rtp.runtime.items import Items

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rtp.runtime.archive import Archive
    from rtp.runtime.claims import Ending, Taken
    from rtp.runtime.dlqnote import DlqNote
    from rtp.runtime.event import Event, Identity
    from rtp.runtime.items import Attributes

_MAX_LEASE = 900 + 60  # s; a lease that ends later was written with a wrong clock
_SAME = "(attribute_not_exists(digest) OR digest = :_digest)"
# A corrected event may follow a dead one; while the record is anything else, another type or data is a conflict.
_FREE = (
    "attribute_not_exists(id) OR (#status <> :processed AND "
    "(attribute_not_exists(lease_until) OR lease_until < :now OR lease_until > :horizon) AND "
    f"(#status = :dead OR {_SAME}))"
)
# A replay may also claim a processed event, once: a second delivery of the same run finds it processed.
_AGAIN = (
    f"({_FREE}) OR (#status = :processed AND {_SAME} AND "
    "(attribute_not_exists(replay_run) OR replay_run <> :_replay_run))"
)
# An attempt whose end was written has no lease; a killed one leaves its own.
_ENDED = "attribute_not_exists(lease_until) OR lease_until = :zero"
_OWN = "lease = :token"
_NOTED = f"{dlqnote.ATTRIBUTE}.request_id = :noted"


class UncoveredError(Exception):
    """The record does not note the message in the DLQ any more."""


class Store:
    """The table. Values too large for an item are in the archive."""

    def __init__(
        self,
        dynamodb: Any,
        table: str,
        archive: Archive,
        *,
        shards: int = 4,
        release: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._items = Items(archive, shards=shards, release=release, clock=clock)
        self._clock = clock

    def claim(self, request: ClaimRequest) -> Claim | Taken:
        """Claim the event for a delivery."""
        now = self._clock()
        sets = self._items.claimed(request)
        # A request has no message: what the record has of an earlier delivery's message must not stay.
        leftovers = ("data" if "data_key" in sets else "data_key", "message_id", "invocation_trace_id")
        removes = [name for name in leftovers if name not in sets]
        values = {
            ":processed": {"S": "processed"},
            ":dead": {"S": "dead"},
            ":now": items.millis(now),
            ":horizon": items.millis(now + _MAX_LEASE),
            ":zero": {"N": "0"},
            ":one": {"N": "1"},
        }
        counters = ", attempt_count = if_not_exists(attempt_count, :zero) + :one"
        counters += ", accepted_at = if_not_exists(accepted_at, :now)"
        if request.is_last and request.note is not None:  # one of an earlier delivery stays
            values[":note"] = items.noted(request.note)
            counters += f", {dlqnote.ATTRIBUTE} = if_not_exists({dlqnote.ATTRIBUTE}, :note)"
        condition = _AGAIN if request.origin.replay else _FREE
        if request.is_shared:
            condition = f"({condition}) AND ({_ENDED})"
        try:
            old = self._update(
                request.event.identity, sets, removes, condition, values, counters=counters, returned="ALL_OLD"
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException as refused:
            item = refused.response.get("Item") or {}
            if item.get("lease", {}).get("S") == request.token:  # the client repeated a write whose response was lost
                number = int(item["attempt_count"]["N"])
                return Claim(request.token, number, _attempts(item), request.until, noted=_noted(item))
            taken = _taken(item, request.event)
            if request.is_shared and isinstance(taken, Leased) and taken.until < now:
                return taken._replace(is_interrupted=True)
            return taken
        number = int(old["attempt_count"]["N"]) + 1 if "attempt_count" in old else 1
        is_fresh = not old and not request.is_last
        return Claim(request.token, number, _attempts(old), request.until, is_fresh=is_fresh, noted=_noted(old))

    def claim_all(self, requests: Sequence[ClaimRequest]) -> list[Claim | None]:
        """Claim events that have no record yet, in one call. None for each that has to be claimed singly."""
        inserted = statements.insert(self._dynamodb, self._table, [self._items.first_claimed(r) for r in requests])
        return [
            Claim(request.token, 1, [], request.until, is_fresh=not request.is_last) if done else None
            for request, done in zip(requests, inserted, strict=True)
        ]

    def mark_dead(self, event: Event, claim: Claim, note: DlqNote) -> None:
        """Mark the record dead during an attempt that only its claim showed to be the last, in case it is killed.

        Nothing is written if the lease was lost.
        """
        with suppress(self._dynamodb.exceptions.ConditionalCheckFailedException):
            sets = self._items.dead(event)
            if claim.noted is None:
                sets[dlqnote.ATTRIBUTE] = items.noted(note)
            self._update(event.identity, sets, [], _OWN, {":token": {"S": claim.token}})

    def finish(self, ending: Ending) -> Taken | None:
        """Write how the attempt ended. Returns None, or what refused the write: a processed record or another lease.

        Raises UncoveredError where the ending is covered by a message in the DLQ that has been purged meanwhile.
        """
        claim = ending.claim
        if claim is None:
            try:
                return self._insert(ending)
            except LookupError:  # the record is from a killed delivery, or from when the type had a processor
                answer = self.claim(ClaimRequest.of(ending.event, ending.origin, until=self._clock()))
            if not isinstance(answer, Claim):
                return answer
            claim = answer
        sets = self._items.ended(ending._replace(claim=claim))
        removes = ["error", dlqnote.ATTRIBUTE] if ending.verdict.error is None else []
        removes += [name for name in ("result", "result_key") if name not in sets]
        condition, values = _OWN, {":token": {"S": claim.token}}
        if ending.is_covered and claim.noted is not None:
            condition, values = f"{_OWN} AND {_NOTED}", {**values, ":noted": {"S": claim.noted.request_id}}
        try:
            self._update(ending.event.identity, sets, removes, condition, values)
        except self._dynamodb.exceptions.ConditionalCheckFailedException as refused:
            item = refused.response.get("Item") or {}
            if ending.is_covered and item.get("lease", {}).get("S") == claim.token:
                raise UncoveredError from None
            return _taken(item, ending.event)
        return None

    def note_sent(self, identity: Identity, note: DlqNote) -> None:
        """Note that a message that rtp sent is in the DLQ. Nothing is written where a purge has removed the note."""
        sent = {f"{dlqnote.ATTRIBUTE}": items.noted(note._replace(is_sent=True))}
        with suppress(self._dynamodb.exceptions.ConditionalCheckFailedException):
            self._update(identity, sent, [], _NOTED, {":noted": {"S": note.request_id}})

    def finish_all(self, endings: Sequence[Ending]) -> list[bool]:
        """Write how attempts ended, in one call for new records and one for claimed ones. False: use `finish`.

        Records that may have attributes to remove, of an earlier attempt or a failure, are left to `finish`.
        """
        new = [ending for ending in endings if ending.claim is None]
        fresh = [e for e in endings if e.claim is not None and e.claim.is_fresh and e.verdict.error is None]
        changes = [(self._items.ended(e), items.leased(e.event.identity, e.claim.token)) for e in fresh if e.claim]
        written = statements.insert(self._dynamodb, self._table, [self._items.stored(ending) for ending in new])
        written += statements.update(self._dynamodb, self._table, changes)
        done = {id(ending) for ending, is_written in zip([*new, *fresh], written, strict=True) if is_written}
        return [id(ending) in done for ending in endings]

    def count_conflict(self, identity: Identity) -> None:
        """Count on a record that another event with its identity moved to the DLQ. Nothing without a record."""
        with suppress(self._dynamodb.exceptions.ConditionalCheckFailedException):
            self._dynamodb.update_item(
                TableName=self._table,
                Key=items.key(identity),
                UpdateExpression="SET conflicts = if_not_exists(conflicts, :zero) + :one",
                ConditionExpression="id = :id",
                ExpressionAttributeValues={":zero": {"N": "0"}, ":one": {"N": "1"}, ":id": {"S": identity.id}},
                ReturnValues="NONE",
            )

    def get(self, event: Event) -> Taken | None:
        """Return the state of the event's record: processed, leased or conflicting; None without a record."""
        response = self._dynamodb.get_item(TableName=self._table, Key=items.key(event.identity), ConsistentRead=True)
        return _taken(response["Item"], event) if response.get("Item") else None

    def _insert(self, ending: Ending) -> Processed | Conflicting | None:
        """Insert an event that is stored as is. Raises LookupError if an unfinished record has to be claimed first."""
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item=self._items.stored(ending),
                ConditionExpression="attribute_not_exists(id)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException as refused:
            taken = _taken(refused.response.get("Item") or {}, ending.event)
            if not isinstance(taken, Leased):
                return taken
            raise LookupError(ending.event.id) from None
        return None

    def _update(
        self,
        identity: Identity,
        sets: Attributes,
        removes: list[str],
        condition: str,
        values: Attributes,
        *,
        counters: str = "",
        returned: str = "NONE",
    ) -> Attributes:
        names = {f"#{name}": name for name in [*sets, *removes]}
        changes = ", ".join(f"#{name} = :_{name}" for name in sets)
        removed = f" REMOVE {', '.join(f'#{name}' for name in removes)}" if removes else ""
        response: dict[str, Attributes] = self._dynamodb.update_item(
            TableName=self._table,
            Key=items.key(identity),
            UpdateExpression=f"SET {changes}{counters}{removed}",
            ConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={**values, **{f":_{name}": value for name, value in sets.items()}},
            ReturnValues=returned,
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
        return response.get("Attributes", {})


def _taken(item: Attributes, event: Event) -> Taken:
    """What the record of a refused claim is to the event. A last attempt, which may end dead, is waited for."""
    status = item.get("status", {}).get("S")
    if status is not None and status != "dead" and item.get("digest", {"S": event.digest})["S"] != event.digest:
        return Conflicting(status)
    if status != "processed":
        until = int(item.get("lease_until", {"N": "0"})["N"]) / 1000
        # A message in its last attempt is not delivered again, so it cannot cover another delivery.
        return Leased(until, item.get("message_id", {}).get("S", "") if status == "processing" else "")
    return Processed({name: attributes.unpack(value) for name, value in item.items()})


def _attempts(item: Attributes) -> list[dict[str, Any]]:
    return list(attributes.unpack(item["attempts"])) if "attempts" in item else []


def _noted(item: Attributes) -> DlqNote | None:
    return dlqnote.read(attributes.unpack(item[dlqnote.ATTRIBUTE])) if dlqnote.ATTRIBUTE in item else None
