"""The items of a table, kept as the JSON text that a save writes: a fifth of the memory, and no decoding at a start.

DynamoDB's code uses it as the dict of dicts that it keeps otherwise. Every read gives an item of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import msgspec

from rtp.local import json_text

Item = dict[str, Any]
_Stored = bytes | Item  # an item that JSON does not keep as it is stays as it is
_Part = tuple[Any, _Stored] | dict[Any, _Stored]  # of one partition value: most have one item
_raw_items = msgspec.json.Decoder(dict[str, dict[str, msgspec.Raw]]).decode


class Items(MutableMapping[Any, "Bucket"]):
    """Items by partition value, and by sort value in each. As in a `defaultdict`, no partition value is missing."""

    __slots__ = ("_parts",)

    def __init__(self, items: Mapping[Any, Mapping[Any, Item]] | None = None) -> None:
        self._parts: dict[Any, _Part] = {}
        self.update(items or {})

    @classmethod
    def from_json(cls, text: bytes | msgspec.Raw) -> Items:
        """From their JSON in a saved state. Raises msgspec.MsgspecError."""
        items = cls()
        for pk, part in _raw_items(text).items():
            stored: dict[Any, _Stored] = {sk: bytes(raw) for sk, raw in part.items()}
            items._parts[pk] = next(iter(stored.items())) if len(stored) == 1 else stored
        return items

    def __getitem__(self, pk: Any) -> Bucket:
        return Bucket(self._parts, pk)

    def __setitem__(self, pk: Any, bucket: Mapping[Any, Item]) -> None:
        self._parts[pk] = {sk: json_text.stored(item) for sk, item in bucket.items()}

    def __delitem__(self, pk: Any) -> None:
        del self._parts[pk]

    def __contains__(self, pk: object) -> bool:
        return pk in self._parts

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._parts))

    def __len__(self) -> int:
        return len(self._parts)

    def __deepcopy__(self, _: dict[int, Any]) -> Items:
        copy = Items()
        copy._parts = {pk: dict(part) if isinstance(part, dict) else part for pk, part in self._parts.items()}
        return copy

    def get(self, pk: Any, default: Any = None) -> Any:
        """The items of a partition value, or the default if there are none."""
        return Bucket(self._parts, pk) if pk in self._parts else default

    def setdefault(self, pk: Any, _default: Any = None) -> Any:
        """The items of a partition value; no default is stored, because none is missing."""
        return Bucket(self._parts, pk)

    def with_name(self, name: str) -> Iterator[tuple[Any, Any, Item]]:
        """Partition value, sort value and item of those items whose JSON may contain a name."""
        sought = name.encode() if name.isascii() and name.isidentifier() else b""
        for pk, part in list(self._parts.items()):
            for sk, stored in list(part.items()) if isinstance(part, dict) else (part,):
                if not isinstance(stored, bytes) or sought in stored:
                    yield pk, sk, json_text.value(stored)

    def saved(self, *, raw: bool) -> dict[Any, dict[Any, Any]]:
        """Dicts for a saved state. raw: for msgspec, with the JSON text of the items."""
        return {
            pk: {
                sk: json_text.saved(stored, raw=raw)
                for sk, stored in (part.items() if isinstance(part, dict) else (part,))
            }
            for pk, part in self._parts.items()
        }


class Bucket(MutableMapping[Any, Any]):
    """The items of one partition value, by sort value."""

    __slots__ = ("_parts", "_pk")

    def __init__(self, parts: dict[Any, _Part], pk: Any) -> None:
        self._parts = parts
        self._pk = pk

    def __getitem__(self, sk: Any) -> Any:
        part = self._parts.get(self._pk, {})
        if isinstance(part, dict):
            return json_text.value(part[sk])
        if part[0] != sk:
            raise KeyError(sk)
        return json_text.value(part[1])

    def __setitem__(self, sk: Any, item: Item) -> None:
        part = self._parts.get(self._pk)
        if not part or (isinstance(part, tuple) and part[0] == sk):
            self._parts[self._pk] = (sk, json_text.stored(item))
        elif isinstance(part, dict):
            part[sk] = json_text.stored(item)
        else:
            self._parts[self._pk] = dict([part, (sk, json_text.stored(item))])

    def __delitem__(self, sk: Any) -> None:
        if sk not in self:
            raise KeyError(sk)
        part = self._parts[self._pk]
        if isinstance(part, dict):
            del part[sk]
        else:
            self._parts[self._pk] = {}

    def __contains__(self, sk: object) -> bool:
        part = self._parts.get(self._pk, {})
        return sk in part if isinstance(part, dict) else part[0] == sk

    def __iter__(self) -> Iterator[Any]:
        part = self._parts.get(self._pk, {})
        return iter(list(part) if isinstance(part, dict) else (part[0],))

    def __len__(self) -> int:
        part = self._parts.get(self._pk, {})
        return len(part) if isinstance(part, dict) else 1

    def __deepcopy__(self, _: dict[int, Any]) -> dict[Any, Item]:
        return dict(self)
