"""Answers that are none of AWS's: of another server, damaged, or made up. Each is an error that says so.

botocore checks no types: its parsers fail as chance has it, and leave out what is missing. A page in HTML, and JSON
that is cut off, it takes for an answer without a member: a table without records, a bucket without objects.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from rtp.errors import EndpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

_JSON = ("json", "rest-json")  # protocols
_PAGE = re.compile(rb"\s*(<\?xml[^>]*>\s*)?<(!doctype\s+)?html\b", re.IGNORECASE)


class Source(NamedTuple):
    """What an answer is to. where: the endpoint. call: service and operation."""

    where: str
    call: str


class Answer(dict[str, Any]):
    """An object of an answer. A member that is read as always there, and is not, is an EndpointError."""

    def __init__(self, values: Mapping[str, Any], source: Source) -> None:
        super().__init__(values)
        self._source = source

    def __missing__(self, name: str) -> NoReturn:
        raise foreign(*self._source)


def of(values: Any, source: Source) -> Any:
    """An answer, or an element of one, whose objects are Answers."""
    if isinstance(values, dict):
        return Answer({name: of(value, source) for name, value in values.items()}, source)
    return [of(value, source) for value in values] if isinstance(values, list) else values


def foreign(where: str, call: str) -> EndpointError:
    """The error of an answer that is none of AWS's. call: service and operation."""
    return EndpointError(
        f"What answered at {where} does not speak AWS's protocol ({call}).", hint="Check the proxy and the endpoint."
    )


def wrongly_typed(error: Exception) -> Exception:
    """The error of a parser, as botocore's own parsers raise it."""
    from botocore.parsers import ResponseParserError

    return ResponseParserError(f"{type(error).__name__}: {error}")


def attach(session: Any) -> None:
    """Let the clients of a botocore session report every answer that they cannot parse as such."""
    session.register_component("response_parser_factory", _Factory(session.get_component("response_parser_factory")))


class _Factory:
    """Makes parsers, as botocore asks for them."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def create_parser(self, protocol: str) -> _Parser:
        return _Parser(self._inner.create_parser(protocol), protocol)


class _Parser:
    """A parser of botocore whose failures have one type."""

    def __init__(self, inner: Any, protocol: str) -> None:
        self._inner, self._protocol = inner, protocol

    def parse(self, response: dict[str, Any], shape: Any) -> Any:
        from botocore.parsers import ResponseParserError

        try:
            self._check(response, shape)
            parsed = self._inner.parse(response, shape)
        except ResponseParserError:
            raise
        except Exception as error:
            raise wrongly_typed(error) from error
        if not isinstance(parsed, dict):  # of the text `null`
            raise ResponseParserError("no document")
        return parsed

    def _check(self, response: dict[str, Any], shape: Any) -> None:
        """Raises ValueError for the document of a success that is none."""
        body = response["body"]
        if response["status_code"] != 200 or not isinstance(body, bytes) or not body.strip():
            return
        if _PAGE.match(body):
            raise ValueError("a page")
        has_document = shape is not None and "payload" not in shape.serialization  # else it may be of any kind
        if self._protocol in _JSON and has_document:
            json.loads(body)
