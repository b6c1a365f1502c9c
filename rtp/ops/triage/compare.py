"""What the dead events of a group have that the processed ones of their type have not, from a sample of both."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

from rtp.aws import records as stored
from rtp.contract import Output
from rtp.ops.events import records
from rtp.ops.events.records import RecordQuery
from rtp.text import json_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rtp.aws import Aws
    from rtp.ops.triage.failures import Failure

SAMPLE = 200  # events of each side
_WINDOWS_MS = (86_400_000, 14 * 86_400_000)  # of the processed events: the last day, or more where it has few
_FEW = 20
_MOST = 8  # traits that are shown
_LEAST = 0.2  # difference of the shares
_UNIQUE = 0.5  # of a field's values, from which it names events and not their causes
_LEVELS, _FIELDS, _TEXT = 6, 500, 60
_VALUES = 1_000  # of one event that are looked at: whoever sends it chooses how many it has


@dataclass(frozen=True, slots=True)
class Trait:
    """What many of the dead have and few of the processed.

    field: such as data.currency; of a list, data.items[]. value: as JSON, or what kind of value it is: missing, null,
    text, number, negative, true or false, list, object. dead, processed: share of the sample that has it, from 0 to 1.
    """

    field: str
    value: str
    dead: float
    processed: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The traits of a group's dead events.

    dead, processed: how many events were compared, the newest. traits: the greatest difference first.
    unique: fields that were skipped, since nearly every event has another value.
    """

    dead: int
    processed: int
    traits: list[Trait]
    unique: list[str]


def read(
    aws: Aws, outputs: Mapping[str, str], same: Sequence[Failure], kind: str, *, shards: int, now: int
) -> Comparison:
    """Compare the newest events of a group with the newest processed ones of their type. Raises AwsError."""
    table, bucket = outputs[Output.TABLE], outputs[Output.BUCKET]
    keys = [(failure.id, failure.timestamp) for failure in same[:SAMPLE]]
    failed = records.whole(aws, bucket, stored.by_keys(aws, table, keys))
    done: list[dict[str, Any]] = []
    for window in _WINDOWS_MS:
        query = RecordQuery(since=now - window, until=now + 60_000, limit=SAMPLE, kind=kind)
        done = records.by_status(aws, table, "processed", query, shards=shards)
        if len(done) >= _FEW:
            break
    return compare([r.get("data") for r in failed], [r.get("data") for r in records.whole(aws, bucket, done)])


def compare(dead: Sequence[Any], processed: Sequence[Any]) -> Comparison:
    """Compare the data of two samples."""
    sides = [_counted(dead), _counted(processed)]
    fields = sorted({name for side in sides for name in side.values})
    traits: list[Trait] = []
    unique: list[str] = []
    for name in fields:
        is_unique = _is_unique(sides[0].values[name] + sides[1].values[name])
        if is_unique:
            unique.append(name)
        found = [_trait(name, kind, "kinds", sides, len(dead), len(processed)) for kind in sides[0].kinds[name]]
        if not is_unique:
            found += [
                _trait(name, value, "values", sides, len(dead), len(processed)) for value in sides[0].values[name]
            ]
        sizes = zip(sides, (len(dead), len(processed)), strict=True)
        found.append(Trait(name, "missing", *(1 - side.present[name] / size if size else 0.0 for side, size in sizes)))
        traits += [trait for trait in found if trait.dead - trait.processed >= _LEAST]
    return Comparison(len(dead), len(processed), _ordered(traits)[:_MOST], unique)


class _Side:
    """Counts of one sample: in how many events a field has a value, a kind of value, or is there at all."""

    def __init__(self) -> None:
        self.values: dict[str, Counter[str]] = defaultdict(Counter)
        self.kinds: dict[str, Counter[str]] = defaultdict(Counter)
        self.present: Counter[str] = Counter()


def _counted(sample: Iterable[Any]) -> _Side:
    side = _Side()
    for data in sample:
        found: dict[str, tuple[set[str], set[str]]] = {}
        _walk(data, found)
        for name, (values, kinds) in found.items():
            side.present[name] += 1
            side.values[name].update(values)
            side.kinds[name].update(kinds)
    return side


def _walk(data: Any, found: dict[str, tuple[set[str], set[str]]]) -> None:
    """Find the fields of an event, with their values and kinds of values; of a large event those that come first."""
    waiting: deque[tuple[str, Any, int]] = deque([("data", data, 0)])
    left = _VALUES
    while waiting and left and len(found) < _FIELDS:
        name, value, level = waiting.popleft()
        left -= 1
        room = max(0, left - len(waiting))
        values, kinds = found.setdefault(name, (set(), set()))
        kinds |= _kinds(value)
        if isinstance(value, dict | list) and level >= _LEVELS:
            continue
        if isinstance(value, dict):
            waiting.extend((f"{name}.{key[:_TEXT]}", inner, level + 1) for key, inner in islice(value.items(), room))
        elif isinstance(value, list):
            waiting.extend((f"{name}[]", inner, level + 1) for inner in islice(value, room))
        else:
            values.add(json_values.dumps(value[:_TEXT] if isinstance(value, str) else value)[:_TEXT])


def _kinds(value: Any) -> set[str]:
    if isinstance(value, bool):
        return {"true or false"}
    if isinstance(value, int | float | Decimal):
        return {"number", "negative"} if value < 0 else {"number"}
    names = {dict: "object", list: "list", str: "text", type(None): "null"}
    empty = {"empty"} if value in ("", [], {}) else set()
    return {names.get(type(value), "text"), *empty}


def _is_unique(values: Counter[str]) -> bool:
    return len(values) > _FEW and len(values) > _UNIQUE * sum(values.values())


def _trait(name: str, value: str, what: str, sides: Sequence[_Side], dead: int, processed: int) -> Trait:
    shares = [getattr(side, what)[name][value] / max(1, n) for side, n in zip(sides, (dead, processed), strict=True)]
    return Trait(name, value, *shares)


def _ordered(traits: Iterable[Trait]) -> list[Trait]:
    """The traits, the greatest difference first, without those that follow from one before, further in the data."""
    candidates = sorted(traits, key=lambda t: (-(t.dead - t.processed), t.field.count("."), t.field, t.value))
    chosen: list[Trait] = []
    for trait in candidates:
        if not any(_follows(trait, other) for other in chosen):
            chosen.append(trait)
    return chosen


def _follows(trait: Trait, other: Trait) -> bool:
    is_same = (trait.dead, trait.processed) == (other.dead, other.processed)
    return is_same and (trait.field == other.field or trait.field.startswith((f"{other.field}.", f"{other.field}[")))
