"""Regular expressions that users write, matched with a time limit.

The standard library's matcher has none, and holds up every thread while it tries all ways to match `(a+)+$`.
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
    """A match was given up."""


class Pattern:
    """A compiled expression, as `re.Pattern` is one. Raises TooSlowError where a match takes too long."""

    def __init__(self, known: re.Pattern[Any]) -> None:
        import regex

        flags = 0
        for name in _FLAGS:  # the two modules number some of them differently
            flags |= getattr(regex, name) if known.flags & getattr(re, name) else 0
        try:
            self._timed: Any = regex.compile(known.pattern, flags)
        except regex.error as error:
            raise re.error(str(error), known.pattern) from error
        self.pattern, self.flags = known.pattern, known.flags
        self.groups, self.groupindex = known.groups, known.groupindex

    def search(self, *args: Any, **kwargs: Any) -> Any:
        """As `re.Pattern.search`; and so on."""
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
        """As `re.Pattern.finditer`; the limit is for all matches together."""
        try:
            yield from self._run("finditer", args, kwargs)
        except TimeoutError:
            raise self._too_slow() from None

    def _run(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            # concurrent: other threads go on meanwhile
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
    """Stands in the place of the module `re`: all of its functions that match, with the limit."""

    compile = staticmethod(compile_timed)

    def __getattr__(self, name: str) -> Any:
        """A function that matches, with the limit; else what `re` has."""
        return _function(name, _DATA[name]) if name in _DATA else getattr(re, name)


_DATA = {"search": 1, "match": 1, "fullmatch": 1, "findall": 1, "finditer": 1, "split": 2, "sub": 3, "subn": 3}
"""How many arguments of each function come after the pattern and before the flags."""


@cache
def _function(name: str, count: int) -> Callable[..., Any]:
    def call(pattern: Any, *args: Any, flags: int = 0, **kwargs: Any) -> Any:
        given = int(args[count]) if len(args) > count else int(flags)
        known = pattern if isinstance(pattern, Pattern | re.Pattern) else compile_timed(pattern, given)
        return getattr(known, name)(*args[:count], **kwargs)

    return call
