"""Many conditional writes in one call.

DynamoDB takes conditions in a batch only as PartiQL statements, each of which succeeds or fails by itself and costs
what a single write does.

A statement that did not do its work, for whatever reason, is reported as False: the caller then makes the single write,
which says why it cannot be made. So does a role or an emulator that knows no PartiQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.runtime.items import Attributes

MAX_STATEMENTS = 25
_CANNOT = ("AccessDeniedException", "ValidationException", "UnknownOperationException")


def insert(dynamodb: Any, table: str, new: Sequence[Attributes]) -> list[bool]:
    """Write items that are not there yet. Whether each was written."""
    made = []
    for item in new:
        names = ", ".join(f"'{name}': ?" for name in item)
        made.append((f'INSERT INTO "{table}" VALUE {{{names}}}', list(item.values())))
    return _execute(dynamodb, made)


def update(dynamodb: Any, table: str, changes: Sequence[tuple[Attributes, Attributes]]) -> list[bool]:
    """Set attributes of items where others are as given, the key among them. Whether each was changed."""
    made = []
    for sets, where in changes:
        setting = " ".join(f'SET "{name}" = ?' for name in sets)
        condition = " AND ".join(f'"{name}" = ?' for name in where)
        made.append((f'UPDATE "{table}" {setting} WHERE {condition}', [*sets.values(), *where.values()]))
    return _execute(dynamodb, made)


def _execute(dynamodb: Any, made: list[tuple[str, list[Any]]]) -> list[bool]:
    done: list[bool] = []
    for start in range(0, len(made), MAX_STATEMENTS):
        chunk = [{"Statement": text, "Parameters": values} for text, values in made[start : start + MAX_STATEMENTS]]
        try:
            answers = dynamodb.batch_execute_statement(Statements=chunk)["Responses"]
        except dynamodb.exceptions.ClientError as refused:
            if refused.response["Error"]["Code"] not in _CANNOT:
                raise
            answers = [{"Error": refused.response["Error"]}] * len(chunk)
        done += ["Error" not in answer for answer in answers]
    return done
