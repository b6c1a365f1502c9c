"""--query: JMESPath over what --json would print."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

from rtp.errors import UsageError


def compiled(query: str) -> Any:
    """A query to search with. Raises UsageError on one that cannot be read or has a function that there is not."""
    import jmespath

    try:
        made = jmespath.compile(query)
        # Functions are looked up when they are called: a misspelt one is to be told before the command does its work.
        with suppress(jmespath.exceptions.JMESPathTypeError):
            made.search({})
        return made
    except jmespath.exceptions.JMESPathError as error:
        raise _wrong_query(error) from None


def searched(query: Any, value: Any) -> Any:
    """What a compiled query finds in JSON. Raises UsageError where it does not fit."""
    import jmespath

    try:
        return query.search(_countable(value))
    except (jmespath.exceptions.JMESPathError, TypeError) as error:
        raise _wrong_query(error) from None


def _wrong_query(error: Exception) -> UsageError:
    return UsageError(
        f"--query: {str(error).splitlines()[0]}", hint="It takes a JMESPath expression such as 'records[].id'."
    )


def _countable(value: Any) -> Any:
    """With a float for each Decimal that it says exactly: JMESPath's functions know no other numbers."""
    if isinstance(value, dict):
        return {name: _countable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_countable(each) for each in value]
    if isinstance(value, Decimal) and Decimal(repr(float(value))) == value:
        return float(value)
    return value
