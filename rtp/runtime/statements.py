"""Many conditional writes in one call.

DynamoDB accepts conditions in a batch only as PartiQL statements, each of which succeeds or fails separately and costs
as much as a single write.

A statement that failed, for any reason, is reported as False: the caller then makes the single write, whose error has
the reason. All statements are False if the role or an emulator has no PartiQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    done: list[bool] = []
    for start in range(0, len(statements), MAX_STATEMENTS):
        some = statements[start : start + MAX_STATEMENTS]
        calls = [{"Statement": text, "Parameters": values} for text, values in some]
        try:
            responses = dynamodb.batch_execute_statement(Statements=calls)["Responses"]
        except dynamodb.exceptions.ClientError as refused:
            if refused.response["Error"]["Code"] not in _NO_PARTIQL:
                raise
            responses = [{"Error": refused.response["Error"]}] * len(calls)
        done += ["Error" not in response for response in responses]
    return done
