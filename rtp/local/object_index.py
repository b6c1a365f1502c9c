"""The objects of a bucket with their keys in order, so that a page of a list reads the keys of that page alone."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Objects(dict[str, Any]):
    """Objects by key. MiniStack's code uses it as the dict that it keeps otherwise."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._order()

    def _order(self) -> None:
        self._keys = sorted(self)

    def __setitem__(self, key: str, value: Any) -> None:
        if key not in self:
            insort(self._keys, key)
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        del self._keys[bisect_left(self._keys, key)]

    def pop(self, key: str, *default: Any) -> Any:
        """Remove an object."""
        if key in self:
            del self._keys[bisect_left(self._keys, key)]
        return super().pop(key, *default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The object, which is added if there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def popitem(self) -> tuple[str, Any]:
        """Remove the last object."""
        key, value = super().popitem()
        del self._keys[bisect_left(self._keys, key)]
        return key, value

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add objects."""
        super().update(*args, **kwargs)
        self._order()

    def __ior__(self, other: Any) -> Objects:  # type: ignore[override,misc]  # as dict has it
        self.update(other)
        return self

    def clear(self) -> None:
        """Remove every object."""
        super().clear()
        self._order()

    def __reduce__(self) -> tuple[Any, ...]:
        return Objects, (dict(self),)

    def rows(self, prefix: str, delimiter: str, start_after: str) -> Iterator[tuple[str, bool]]:
        """Keys and common prefixes in order, each with whether it is a common prefix, after `start_after`."""
        keys = self._keys
        at = max(bisect_left(keys, prefix), bisect_right(keys, start_after))
        while at < len(keys) and keys[at].startswith(prefix):
            end = keys[at].find(delimiter, len(prefix)) if delimiter else -1
            if end < 0:
                yield keys[at], False
                at += 1
                continue
            common = keys[at][: end + len(delimiter)]
            if common > start_after:
                yield common, True
            at = _after(keys, common, at)


def _after(keys: list[str], prefix: str, low: int) -> int:
    """The number of the first key from `low` that does not have the prefix, which all keys in a row have."""
    step = 1
    while low + step < len(keys) and keys[low + step].startswith(prefix):
        step *= 2
    return bisect_left(keys, True, low + step // 2, min(low + step, len(keys)), key=lambda k: not k.startswith(prefix))
