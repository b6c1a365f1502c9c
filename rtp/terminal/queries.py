"""--query: JMESPath over the JSON of a command."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

from rtp.errors import UsageError


def compiled(query: str) -> Any:
    """Compile a query. Raises UsageError for a syntax error or an unknown function."""
    import jmespath

    try:
        expression = jmespath.compile(query)
        # Functions are resolved when they are called: report a misspelt one before the command does its work.
        with suppress(jmespath.exceptions.JMESPathTypeError):
            expression.search({})
        return expression
    except jmespath.exceptions.JMESPathError as error:
        raise _wrong_query(error) from None


def searched(query: Any, value: Any) -> Any:
    """Apply a compiled query. Raises UsageError where it does not match the types of the JSON."""
    import jmespath

    try:
        return query.search(_countable(value))
    except (jmespath.exceptions.JMESPathError, TypeError) as error:
        raise _wrong_query(error) from None


def _wrong_query(error: Exception) -> UsageError:
    return UsageError(
        f"--query: {str(error).splitlines()[0]}", hint="Give a JMESPath expression such as 'records[].id'."
    )


def _countable(value: Any) -> Any:
    """Replace Decimals that a float represents exactly: JMESPath's functions take no other numbers."""
    if isinstance(value, dict):
        return {name: _countable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_countable(each) for each in value]
    if isinstance(value, Decimal) and Decimal(repr(float(value))) == value:
        return float(value)
    return value
