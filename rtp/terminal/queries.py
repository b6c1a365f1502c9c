"""--query: JMESPath over the JSON of a command, bounded in time and memory."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

from rtp.errors import UsageError

_LENGTH = 10_000


def compiled(query: str) -> Any:
    """Compile a query. Raises UsageError for a syntax error, an unknown function or one that is too large."""
    if len(query) > _LENGTH:
        raise UsageError(f"--query has {len(query):,} characters; the limit is {_LENGTH:,}.")
    import jmespath

    from rtp.terminal import bounded

    try:
        tree = jmespath.compile(query).parsed
        bounded.check(tree)
        # Functions are resolved when they are called: report a misspelt one before the command does its work.
        with suppress(jmespath.exceptions.JMESPathTypeError):
            bounded.search(tree, {})
        return tree
    except (jmespath.exceptions.JMESPathError, bounded.TooLargeError, *_REFUSED) as error:
        raise _wrong_query(error) from None


def searched(query: Any, value: Any) -> Any:
    """Apply a compiled query. Raises UsageError where it does not match the JSON, or takes or makes too much."""
    import jmespath

    from rtp.terminal import bounded

    try:
        return bounded.search(query, _countable(value))
    except (jmespath.exceptions.JMESPathError, bounded.TooLargeError, *_REFUSED) as error:
        raise _wrong_query(error) from None


# What JMESPath lets pass: a slice step of 0, numbers of thousands of digits, arithmetic on Decimals, nesting.
_REFUSED = (TypeError, ValueError, ArithmeticError, AttributeError, LookupError, RecursionError)


def _wrong_query(error: Exception) -> UsageError:
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else (str(error).splitlines() or [""])[0]
    shown = reason if len(reason) <= 300 else f"{reason[:299]}…"
    return UsageError(f"--query: {shown}", hint="Give a JMESPath expression such as 'records[].id'.")


def _countable(value: Any) -> Any:
    """Replace Decimals that a float represents exactly: JMESPath's functions take no other numbers."""
    if isinstance(value, dict):
        return {name: _countable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_countable(each) for each in value]
    if isinstance(value, Decimal) and Decimal(repr(float(value))) == value:
        return float(value)
    return value
