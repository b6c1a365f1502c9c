"""Batches of which a part is not done: the call succeeds, and its answer lists the rest."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtp.local.weather.call import Call, Response

_CHANCE = 0.1  # of each element
_MAX_FAILURES = 2  # of one element
_REMEMBERED = 10_000
_SQS = ("SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch")
_S3_OBJECT = re.compile(rb"<Object>.*?</Object>", re.DOTALL)
_S3_KEY = re.compile(rb"<Key>(.*?)</Key>", re.DOTALL)
_S3_VERSION = re.compile(rb"<VersionId>.*?</VersionId>", re.DOTALL)


class PartialBatches(Effect):
    """Leaves elements of a batch undone."""

    name = "partial-batches"
    summary = (
        "Batches succeed in part: UnprocessedKeys, UnprocessedItems, UnprocessedTraceIds, Failed entries of SQS, "
        "Errors of DeleteObjects."
    )
    source = (
        "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html "
        "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html "
        "https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html"
    )

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._failures: Counter[str] = Counter()

    async def before(self, call: Call) -> Response | None:
        """Make the call with a part of the batch, and add the rest to the answer."""
        if call.protocol == "json" and call.named("sqs", *_SQS):
            return await self._sqs(call)
        if call.named("dynamodb", "BatchGetItem"):
            return await self._dynamodb(call, "UnprocessedKeys")
        if call.named("dynamodb", "BatchWriteItem"):
            return await self._dynamodb(call, "UnprocessedItems")
        if call.named("xray", "BatchGetTraces"):
            return await self._traces(call)
        if call.named("s3", "DeleteObjects"):
            return await self._objects(call)
        return None

    def _split(self, elements: Iterable[Any], what: str) -> tuple[list[Any], list[Any]]:
        """Those to do and those to leave undone; an element is left undone at most twice."""
        done, undone = [], []
        for element in elements:
            key = f"{what} {hash(json.dumps(element, sort_keys=True, default=repr))}"
            if self._failures[key] < _MAX_FAILURES and self.happens(_CHANCE):
                self._failures[key] += 1
                undone.append(element)
            else:
                done.append(element)
        if len(self._failures) > _REMEMBERED:
            self._failures.clear()
        return done, undone

    async def _sqs(self, call: Call) -> Response | None:
        # The key is the element without its Id, which is its place in the batch.
        entries = {str(entry.get("Id")): entry for entry in call.params.get("Entries") or ()}
        bare = [[{k: v for k, v in entry.items() if k != "Id"}, name] for name, entry in entries.items()]
        names = [pair[1] for pair in self._split(bare, f"{call.operation} {call.resource}")[1]]
        if not names:
            return None
        failed = [
            {"Id": name, "SenderFault": False, "Code": "InternalError", "Message": "An internal error occurred."}
            for name in names
        ]
        rest = [entry for name, entry in entries.items() if name not in names]
        if not rest:
            return call.answer({"Successful": [], "Failed": failed})
        response = await call.again(Entries=rest)
        if not response.ok:
            return response
        return response.with_document(response.document | {"Failed": [*response.document.get("Failed", ()), *failed]})

    async def _dynamodb(self, call: Call, name: str) -> Response | None:
        requested, undone = {}, {}
        for table, wish in (call.params.get("RequestItems") or {}).items():
            elements = wish["Keys"] if isinstance(wish, dict) else wish
            do, leave = self._split(elements, f"{call.operation} {table}")
            if do:
                requested[table] = {**wish, "Keys": do} if isinstance(wish, dict) else do
            if leave:
                undone[table] = {**wish, "Keys": leave} if isinstance(wish, dict) else leave
        if not undone or not requested:  # with nothing done AWS answers with a throttling error
            return None
        response = await call.again(RequestItems=requested)
        return response.with_document(response.document | {name: undone}) if response.ok else response

    async def _traces(self, call: Call) -> Response | None:
        do, leave = self._split(call.params.get("TraceIds") or (), call.operation)
        if not leave or not do:
            return None
        response = await call.again(TraceIds=do)
        if not response.ok:
            return response
        return response.with_document(response.document | {"UnprocessedTraceIds": leave})

    async def _objects(self, call: Call) -> Response | None:
        names = [match.group().decode("utf-8", "replace") for match in _S3_OBJECT.finditer(call.body)]
        do, leave = self._split(names, f"{call.operation} {call.resource}")
        if not leave or not do:
            return None
        body = call.body
        for text in leave:
            body = body.replace(text.encode(), b"", 1)
        response = await call.with_body(body)
        if not response.ok:
            return response
        errors = b"".join(_s3_error(text.encode()) for text in leave)
        closing = b"</DeleteResult>"
        if closing not in response.body:
            return response.with_body(b"<DeleteResult>" + errors + closing)
        return response.with_body(response.body.replace(closing, errors + closing, 1))


def _s3_error(element: bytes) -> bytes:
    key, version = _S3_KEY.search(element), _S3_VERSION.search(element)
    name = (key[0] if key else b"") + (version[0] if version else b"")
    return b"<Error>" + name + b"<Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
