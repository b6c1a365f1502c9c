"""Filters over DLQ messages."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.ops import releases, shown
from rtp.text import json_values

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from rtp.ops.dlq.messages import DlqMessage
    from rtp.text.queries import Expression
    from rtp.text.regexes import Regex


def facts(dlq_message: DlqMessage) -> dict[str, Any]:
    """A message as its JSON has it, with the event's `data`; null where the body is no event."""
    data = None
    with contextlib.suppress(ValueError):
        event = json_values.loads(dlq_message.event)
        data = event.get("data") if isinstance(event, dict) else None
    return {**json_values.to_json_types(dlq_message), "data": data}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Conditions that a message must all meet; without any, every message matches.

    error: part of the error, or its whole signature. group: id of the cause's group, or the beginning.
    grep: searched in the body. since, until: epoch ms of first_seen. where: of the message as `facts` has it.
    release: of the last attempt, its hash or the beginning. there_at: only messages that were in the DLQ at this time,
    epoch ms by SQS's clock. attribute: only messages with this attribute.
    with_parts: ids match that begin or end with one of `ids`.
    """

    ids: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    error: str | None = None
    group: str | None = None
    grep: Regex | None = None
    since: int | None = None
    until: int | None = None
    where: Expression | None = None
    release: str | None = None
    message_ids: frozenset[str] | None = None
    with_parts: bool = False
    there_at: int | None = None
    attribute: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether every message matches."""
        return self == Filters()

    def match(self, dlq_message: DlqMessage) -> bool:
        """Whether a message meets every condition."""
        cause = f"{dlq_message.error.type}: {dlq_message.error.message}"
        return (
            (not self.ids or dlq_message.id in self.ids or (self.with_parts and self._has_part(dlq_message.id)))
            and (not self.types or dlq_message.type in self.types)
            and (self.error is None or self.error.lower() in cause.lower() or self.error == dlq_message.error.signature)
            and (self.group is None or dlq_message.group.id.startswith(self.group))
            and releases.matches(dlq_message.release, self.release)
            and (self.grep is None or self.grep.matches(dlq_message.body))
            and (self.since is None or dlq_message.accepted_at >= self.since)
            and (self.until is None or dlq_message.accepted_at <= self.until)
            and (self.where is None or self.where.holds(facts(dlq_message)))
            and (self.there_at is None or dlq_message.arrived_at <= self.there_at)
            and (self.message_ids is None or dlq_message.message_id in self.message_ids)
            and (self.attribute is None or bool(dlq_message.message.text(self.attribute)))
        )

    def _has_part(self, event_id: str) -> bool:
        return any(shown.is_part(part, len(event_id)) and shown.matches(event_id, part) for part in self.ids)

    def select(self, dlq_messages: Iterable[DlqMessage]) -> list[DlqMessage]:
        """The messages that match, in the same order."""
        return [dlq_message for dlq_message in dlq_messages if self.match(dlq_message)]

    def all_found(self, ids: Collection[str], message_ids: Collection[str]) -> bool:
        """Whether the filter names messages or events, and these are all of them."""
        if self.message_ids is not None:
            return self.message_ids <= set(message_ids)
        return bool(self.ids) and not self.missing(ids)

    def missing(self, ids: Iterable[str]) -> list[str]:
        """The event ids that this filter names and that are not among `ids`."""
        present = set(ids)
        return [event_id for event_id in self.ids if event_id not in present]


class Named:
    """Which of the events and messages that filters name were among those that matched; no others are kept."""

    def __init__(self, filters: Filters) -> None:
        self._filters = filters
        self._named_ids, self._named_messages = frozenset(filters.ids), filters.message_ids or frozenset()
        self.ids: set[str] = set()
        self._message_ids: set[str] = set()

    def add(self, dlq_messages: Iterable[DlqMessage]) -> None:
        """Add messages."""
        for dlq_message in dlq_messages:
            if dlq_message.id in self._named_ids:
                self.ids.add(dlq_message.id)
            if dlq_message.message_id in self._named_messages:
                self._message_ids.add(dlq_message.message_id)

    def are_all(self) -> bool:
        """Whether these are all that the filters name; False where they name none."""
        return self._filters.all_found(self.ids, self._message_ids)
