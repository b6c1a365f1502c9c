"""--query, --where and --by: JMESPath over the JSON of a command, bounded in time and memory."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rtp.errors import UsageError
from rtp.text import json_values

_LENGTH = 10_000


@dataclass(frozen=True, slots=True)
class Expression:
    """A valid JMESPath expression and the option that gave it; `compiled` makes one. tree: its parsed form."""

    option: str
    text: str
    tree: Any

    def of(self, value: Any) -> Any:
        """What the expression selects. Raises UsageError where it does not fit the JSON, or takes or makes too much."""
        import jmespath

        from rtp.text import bounded

        try:
            return bounded.search(self.tree, _countable(value))
        except (jmespath.exceptions.JMESPathError, bounded.TooLargeError, *_REFUSED) as error:
            raise _wrong(self.option, error) from None

    def holds(self, value: Any) -> bool:
        """Whether the expression selects anything but null, false or an empty value."""
        selected = self.of(value)
        return selected not in (None, False, "") and selected not in ([], {})

    def label(self, value: Any) -> str:
        """What the expression selects, as one text; `-` for null."""
        selected = self.of(value)
        return "-" if selected is None else selected if isinstance(selected, str) else json_values.dumps(selected)


def compiled(text: str, *, option: str) -> Expression:
    """Compile an expression. Raises UsageError for a syntax error, an unknown function or one that is too large."""
    if len(text) > _LENGTH:
        raise UsageError(f"{option} has {len(text):,} characters; the limit is {_LENGTH:,}.")
    import jmespath

    from rtp.text import bounded

    try:
        tree = jmespath.compile(text).parsed
        bounded.check(tree)
        # Functions are resolved when they are called: report a misspelt one before the command does its work.
        with suppress(jmespath.exceptions.JMESPathTypeError):
            bounded.search(tree, {})
        return Expression(option, text, tree)
    except (jmespath.exceptions.JMESPathError, bounded.TooLargeError, *_REFUSED) as error:
        raise _wrong(option, error) from None


# What JMESPath lets pass: a slice step of 0, numbers of thousands of digits, arithmetic on Decimals, nesting.
_REFUSED = (TypeError, ValueError, ArithmeticError, AttributeError, LookupError, RecursionError)
_EXAMPLES = {"--query": "'records[].id'", "--where": "\"type == 'order.created'\"", "--by": "error.type"}


def _wrong(option: str, error: Exception) -> UsageError:
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else (str(error).splitlines() or [""])[0]
    shown = reason if len(reason) <= 300 else f"{reason[:299]}…"
    return UsageError(f"{option}: {shown}", hint=f"Give a JMESPath expression such as {_EXAMPLES[option]}.")


def _countable(value: Any) -> Any:
    """Replace Decimals that a float represents exactly: JMESPath's functions take no other numbers."""
    if isinstance(value, dict):
        return {name: _countable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_countable(each) for each in value]
    if isinstance(value, Decimal) and Decimal(repr(float(value))) == value:
        return float(value)
    return value
