"""Regular expressions of users, matched with a time limit.

The standard library's matcher has none, and blocks every thread while it tries all ways to match `(a+)+$`.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT_S = 1.0
_FLAGS = ("IGNORECASE", "MULTILINE", "DOTALL", "VERBOSE", "ASCII")


class TooSlowError(TimeoutError):
    """A match took longer than the limit."""


class Pattern:
    """A compiled expression with the methods of `re.Pattern`. They raise TooSlowError if a match takes too long."""

    def __init__(self, compiled: re.Pattern[Any]) -> None:
        import regex

        flags = 0
        for name in _FLAGS:  # the two modules number some flags differently
            flags |= getattr(regex, name) if compiled.flags & getattr(re, name) else 0
        try:
            self._timed: Any = regex.compile(compiled.pattern, flags)
        except regex.error as error:
            raise re.error(str(error), compiled.pattern) from error
        self.pattern, self.flags = compiled.pattern, compiled.flags
        self.groups, self.groupindex = compiled.groups, compiled.groupindex

    def search(self, *args: Any, **kwargs: Any) -> Any:
        """As `re.Pattern.search`; the others likewise."""
        return self._run("search", args, kwargs)

    def match(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return self._run("match", args, kwargs)

    def fullmatch(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return self._run("fullmatch", args, kwargs)

    def findall(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return self._run("findall", args, kwargs)

    def split(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return self._run("split", args, kwargs)

    def sub(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return self._run("sub", args, kwargs)

    def subn(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        return self._run("subn", args, kwargs)

    def finditer(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """As `re.Pattern.finditer`; the limit applies to all matches together."""
        try:
            yield from self._run("finditer", args, kwargs)
        except TimeoutError:
            raise self._too_slow() from None

    def _run(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            # concurrent: other threads run meanwhile
            return getattr(self._timed, method)(*args, **kwargs, timeout=LIMIT_S, concurrent=True)
        except TimeoutError:
            raise self._too_slow() from None

    def _too_slow(self) -> TooSlowError:
        return TooSlowError(f"The regular expression {self.pattern[:200]!r} takes too long on this text.")


@lru_cache(maxsize=512)
def compile_timed(pattern: str, flags: int = 0) -> Pattern:
    """A pattern with a time limit. Raises re.error."""
    return Pattern(re.compile(pattern, flags))


class Timed:
    """Replaces the module `re`: its matching functions have the limit."""

    compile = staticmethod(compile_timed)

    def __getattr__(self, name: str) -> Any:
        """A matching function with the limit, or another attribute of `re`."""
        return _function(name, _DATA[name]) if name in _DATA else getattr(re, name)


_DATA = {"search": 1, "match": 1, "fullmatch": 1, "findall": 1, "finditer": 1, "split": 2, "sub": 3, "subn": 3}
"""Number of arguments of each function between the pattern and the flags."""


@cache
def _function(name: str, count: int) -> Callable[..., Any]:
    def call(pattern: Any, *args: Any, flags: int = 0, **kwargs: Any) -> Any:
        given = int(args[count]) if len(args) > count else int(flags)
        compiled = pattern if isinstance(pattern, Pattern | re.Pattern) else compile_timed(pattern, given)
        return getattr(compiled, name)(*args[:count], **kwargs)

    return call
