"""Many conditional writes in one call.

DynamoDB accepts conditions in a batch only as PartiQL statements, each of which succeeds or fails separately and costs
as much as a single write.

A statement that is throttled is repeated. One that failed, for any reason, is reported as False: the caller then makes
the single write, whose error has the reason. All statements are False if the role or an emulator has no PartiQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.runtime import partial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.runtime.items import Attributes

MAX_STATEMENTS = 25
_NO_PARTIQL = ("AccessDeniedException", "ValidationException", "UnknownOperationException")


def insert(dynamodb: Any, table: str, new: Sequence[Attributes]) -> list[bool]:
    """Write items that do not exist yet. Returns for each whether it was written."""
    statements = []
    for item in new:
        names = ", ".join(f"'{name}': ?" for name in item)
        statements.append((f'INSERT INTO "{table}" VALUE {{{names}}}', list(item.values())))
    return _execute(dynamodb, statements)


def update(dynamodb: Any, table: str, changes: Sequence[tuple[Attributes, Attributes]]) -> list[bool]:
    """Set attributes of items where key and other attributes have these values. Returns for each whether it was set."""
    statements = []
    for sets, where in changes:
        setting = " ".join(f'SET "{name}" = ?' for name in sets)
        condition = " AND ".join(f'"{name}" = ?' for name in where)
        statements.append((f'UPDATE "{table}" {setting} WHERE {condition}', [*sets.values(), *where.values()]))
    return _execute(dynamodb, statements)


def _execute(dynamodb: Any, statements: list[tuple[str, list[Any]]]) -> list[bool]:
    calls = [{"Statement": text, "Parameters": values} for text, values in statements]
    written = [False] * len(calls)

    def write(numbers: list[int]) -> list[int]:
        """Execute the statements of these numbers. Returns the numbers of those that were throttled."""
        responses = dynamodb.batch_execute_statement(Statements=[calls[n] for n in numbers])["Responses"]
        for number, response in zip(numbers, responses, strict=True):
            written[number] = "Error" not in response
        codes = [response.get("Error", {}).get("Code", "") for response in responses]
        return [number for number, code in zip(numbers, codes, strict=True) if code in partial.PASSING]

    for start in range(0, len(calls), MAX_STATEMENTS):
        numbers = list(range(start, min(start + MAX_STATEMENTS, len(calls))))
        try:
            partial.complete(write, numbers, calls=partial.CALLS_IN_FUNCTION)
        except dynamodb.exceptions.ClientError as refused:
            if refused.response["Error"]["Code"] not in _NO_PARTIQL:
                raise
    return written
