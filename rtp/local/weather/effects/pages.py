"""Pages of one element, and empty pages with a token, as AWS documents for every paginated call."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any

from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.local.weather.call import Call, Response

_CHANCE = 0.25
_EMPTY = 0.2
_SIZES = (1, 2, 5, 20)
_REMEMBERED = 200  # lists that are given out page by page
_MEMBER = re.compile(rb"<member>.*?</member>", re.DOTALL)
_XML = {"DescribeStackEvents": b"StackEvents", "ListStackResources": b"StackResourceSummaries"}


@dataclass(frozen=True, slots=True)
class _Paging:
    """Names of the token in requests and answers, and of the list."""

    given: str
    returned: str
    elements: str


@dataclass(frozen=True, slots=True)
class _Rest:
    """What a token of this effect stands for: an answer of the engine, from one of its elements on."""

    response: Response
    start: int


class SmallPages(Effect):
    """Splits answers into small pages. DynamoDB and S3 do it themselves, by a lower limit."""

    name = "small-pages"
    summary = "Lists come in pages of a few elements, and some pages are empty though more follow."
    source = (
        "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html "
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html"
    )

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._rests: OrderedDict[str, _Rest] = OrderedDict()
        self._numbers = count(1)

    async def before(self, call: Call) -> Response | None:
        """The next page of a list that this effect has split; or fewer rows of DynamoDB and S3."""
        if call.named("dynamodb", "Query", "Scan") and self.happens(_CHANCE):
            size = self.random.choice(_SIZES)
            return await call.again(Limit=min(size, call.params.get("Limit") or size))
        if call.named("s3", "ListObjectsV2", "ListObjectVersions") and self.happens(_CHANCE):
            size = self.random.choice(_SIZES)
            return await call.with_query(**{"max-keys": str(min(size, int(call.params.get("MaxKeys") or size)))})
        paging = _paging(call)
        rest = self._rests.get(str(call.params.get(paging.given))) if paging else None
        if paging is None or rest is None:
            return None
        return self._page(call, paging, rest.response, rest.start, may_be_empty=False)

    async def after(self, call: Call, response: Response) -> Response:
        """Split a list."""
        paging = _paging(call)
        if paging is None or not response.ok or str(call.params.get(paging.given)) in self._rests:
            return response
        if not self.happens(_CHANCE) or not _elements(call, paging, response):
            return response
        return self._page(call, paging, response, 0, may_be_empty=True)

    def _page(self, call: Call, paging: _Paging, whole: Response, start: int, *, may_be_empty: bool) -> Response:
        elements = _elements(call, paging, whole)
        is_empty = may_be_empty and self.happens(_EMPTY)
        end = start if is_empty else min(len(elements), start + self.random.choice(_SIZES))
        token = ""
        if end < len(elements):
            token = f"weather-{next(self._numbers)}"
            self._rests[token] = _Rest(whole, end)
            if len(self._rests) > _REMEMBERED:
                self._rests.popitem(last=False)
        return _with(call, paging, whole, elements[start:end], token)


def _elements(call: Call, paging: _Paging, response: Response) -> list[Any]:
    if call.protocol == "query":
        return _MEMBER.findall(_xml_list(response.body, _XML[call.operation])[1])
    elements: list[Any] = response.document.get(paging.elements) or []
    return elements


def _with(call: Call, paging: _Paging, whole: Response, elements: list[Any], token: str) -> Response:
    if call.protocol == "query":
        head, _, tail = _xml_list(whole.body, _XML[call.operation])
        if token:
            closing = b"</" + _XML[call.operation] + b">"
            tail = re.sub(rb"<NextToken>.*?</NextToken>", b"", tail)
            tail = tail.replace(closing, closing + b"<NextToken>" + token.encode() + b"</NextToken>", 1)
        return whole.with_body(head + b"".join(elements) + tail)
    document = whole.document | {paging.elements: elements}
    return whole.with_document(document | {paging.returned: token} if token else document)


def _xml_list(body: bytes, name: bytes) -> tuple[bytes, bytes, bytes]:
    """What is before the elements of a list, the elements, and what is after them."""
    opening, closing = b"<" + name + b">", b"</" + name + b">"
    if opening not in body or closing not in body:
        return body, b"", b""
    start, end = body.index(opening) + len(opening), body.rindex(closing)
    return body[:start], body[start:end], body[end:]


def _paging(call: Call) -> _Paging | None:
    if call.protocol == "query":
        is_known = call.service == "cloudformation" and call.operation in _XML
        return _Paging("NextToken", "NextToken", "") if is_known else None
    if call.protocol not in ("json", "rest-json") or call.service == "dynamodb":
        return None
    return _paginators(call.service).get(call.operation)


@cache
def _paginators(service: str) -> Mapping[str, _Paging]:
    """The paginated calls of a service whose token and list have one name."""
    from botocore.exceptions import UnknownServiceError
    from botocore.loaders import Loader

    try:
        model = Loader().load_service_model(service, "paginators-1")
    except (UnknownServiceError, ValueError):
        return {}
    rows = [
        (name, row["input_token"], row["output_token"], row["result_key"]) for name, row in model["pagination"].items()
    ]
    # Of several lists the first is the one with elements.
    rows = [(*row, keys[0] if isinstance(keys, list) else keys) for *row, keys in rows]
    return {
        name: _Paging(given, returned, elements)
        for name, given, returned, elements in rows
        if all(isinstance(text, str) and text.isidentifier() for text in (given, returned, elements))
    }
