"""Filters over stored records that DynamoDB cannot apply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.ops import causes, releases, shown
from rtp.text import json_values
from rtp.text.elements import cause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.text.queries import Expression
    from rtp.text.regexes import Regex


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilters:
    """Conditions that a record must all meet; without any, every record matches.

    id_part: the id, its beginning or its end. error: part of the error, or its whole signature.
    group: id of the cause's group, or the beginning. grep: searched in the record's JSON. where: of its JSON.
    release: of the last attempt, its hash or the beginning.
    """

    id_part: str | None = None
    error: str | None = None
    group: str | None = None
    grep: Regex | None = None
    where: Expression | None = None
    release: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether every record matches."""
        return self == RecordFilters()

    @property
    def needs_values(self) -> bool:
        """Whether the values that S3 stores are needed too."""
        return self.grep is not None or self.where is not None

    def match(self, record: Mapping[str, Any]) -> bool:
        """Whether a record meets every condition. Raises UsageError where `where` does not fit."""
        return (
            (self.id_part is None or shown.matches(str(record["id"]), self.id_part))
            and (self.error is None or _has_error(record.get("error"), self.error))
            and (self.group is None or _is_in_group(record, self.group))
            and releases.matches(releases.of(record), self.release)
            and (self.grep is None or self.grep.matches(json_values.dumps(record)))
            and (self.where is None or self.where.holds(json_values.to_json_types(record)))
        )


def _is_in_group(record: Mapping[str, Any], part: str) -> bool:
    cause = causes.of(record.get("error"))
    return bool(cause.text) and causes.group(str(record.get("type", "")), cause).id.startswith(part)


def _has_error(error: object, text: str) -> bool:
    signature = error.get("signature") if isinstance(error, dict) else None
    return text == signature or text.lower() in cause(error).lower()
