"""DynamoDB: the records' notes of messages in the DLQ, removed and written for many records at a time.

DynamoDB has conditions in a batch as PartiQL statements alone. Where the role or an emulator has none, and for each
that fails, a single write is made, whose error has the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rtp.errors import AwsError
from rtp.runtime import attributes, dlqnote, partial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.aws import Aws
    from rtp.runtime.dlqnote import DlqNote

    Key = tuple[str, int]

BATCH = 25  # the most statements that BatchExecuteStatement accepts
_NO_PARTIQL = ("AccessDeniedException", "ValidationException", "UnknownOperationException")
_NAME = dlqnote.ATTRIBUTE
_OF_KEY = '"id" = ? AND "timestamp" = ?'
_IS_SAME = f'"{_NAME}"."request_id" = ?'


def forget(aws: Aws, table: str, notes: Sequence[tuple[Key, str]]) -> None:
    """Remove records' notes of messages in the DLQ, by key and request id; a note of another message stays."""
    text = f'UPDATE "{table}" REMOVE "{_NAME}" WHERE {_OF_KEY} AND {_IS_SAME}'
    statements = [{"Statement": text, "Parameters": [*_key(key), {"S": request}]} for key, request in notes]
    for number in _run(aws, statements).failed:
        key, request_id = notes[number]
        _update(
            aws,
            table,
            key,
            UpdateExpression=f"REMOVE {_NAME}",
            ConditionExpression=f"{_NAME}.request_id = :request",
            ExpressionAttributeValues={":request": {"S": request_id}},
        )


def write(aws: Aws, table: str, notes: Sequence[tuple[Key, DlqNote]]) -> None:
    """Note messages in the DLQ on the records of dead events, unless a record notes another one."""
    text = f'UPDATE "{table}" SET "{_NAME}" = ? WHERE {_OF_KEY} AND "status" = ? AND '  # noqa: S608
    values = [[attributes.pack(note.values), *_key(key), {"S": "dead"}] for key, note in notes]
    # Most records have no note by now. A statement whose condition has an OR names no key for sure.
    first = _run(aws, [{"Statement": f'{text}"{_NAME}" IS MISSING', "Parameters": each} for each in values])
    noted = [
        {"Statement": text + _IS_SAME, "Parameters": [*values[n], {"S": notes[n][1].request_id}]} for n in first.unmet
    ]
    again = [first.unmet[n] for n in _run(aws, noted).failed]
    for number in (*first.failed, *again):
        key, note = notes[number]
        _update(
            aws,
            table,
            key,
            UpdateExpression=f"SET {_NAME} = :note",
            ConditionExpression=f"#status = :dead AND (attribute_not_exists({_NAME}) OR {_NAME}.request_id = :request)",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":note": attributes.pack(note.values),
                ":request": {"S": note.request_id},
                ":dead": {"S": "dead"},
            },
        )


def _key(key: Key) -> list[dict[str, Any]]:
    return [{"S": key[0]}, {"N": str(key[1])}]


class _Result(NamedTuple):
    """Numbers of statements. unmet: whose condition did not hold. failed: for another reason."""

    unmet: list[int]
    failed: list[int]


def _run(aws: Aws, statements: Sequence[dict[str, Any]]) -> _Result:
    """Run statements, as many in a call as DynamoDB accepts."""
    result = _Result([], [])
    for start in range(0, len(statements), BATCH):
        _run_batch(aws, statements, list(range(start, len(statements))[:BATCH]), result)
    return result


def _run_batch(aws: Aws, statements: Sequence[dict[str, Any]], numbers: list[int], result: _Result) -> None:
    def run(some: list[int]) -> list[int]:
        answer = aws.call("dynamodb", "batch_execute_statement", Statements=[statements[n] for n in some])
        throttled = []
        for number, response in zip(some, answer["Responses"], strict=True):
            code = response.get("Error", {}).get("Code", "")
            if code in partial.PASSING:
                throttled.append(number)
            elif code == "ConditionalCheckFailed":
                result.unmet.append(number)
            elif code:
                result.failed.append(number)
        return throttled

    try:
        left: list[int] = partial.complete(run, numbers)
        result.failed.extend(left)
    except AwsError as error:
        if error.service_code not in _NO_PARTIQL:
            raise
        result.failed.extend(set(numbers).difference(result.failed))


def _update(aws: Aws, table: str, key: Key, **update: Any) -> None:
    item_key = {"id": {"S": key[0]}, "timestamp": {"N": str(key[1])}}
    try:
        aws.call("dynamodb", "update_item", TableName=table, Key=item_key, **update)
    except AwsError as error:
        if error.service_code != "ConditionalCheckFailedException":
            raise
