"""The stack's own REST API: its URL, what admits a request, and requests to it over persistent connections."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from rtp import __version__
from rtp.aws.in_flight import InFlight
from rtp.aws.logs import server_ms
from rtp.aws.signing import Signature
from rtp.contract import IAM, Output
from rtp.errors import EndpointError, NotFoundError
from rtp.runtime import wire
from rtp.text import json_values, times

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rtp.aws import Aws

_READ_SECONDS = 35.0  # the API itself times out after 29 s
_CONNECT_SECONDS = 5.0
_NEW_KEY_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of the API. body: its JSON object; {} where it has none. retry_after: seconds, from the header.

    replayed: the response is the stored one to an earlier request with the same id.
    """

    status: int
    body: dict[str, Any]
    latency_ms: float
    retry_after: float | None = None
    replayed: bool = False

    @property
    def message(self) -> str:
        """The message in the body; the HTTP status where it has none."""
        return str(self.body.get("message") or f"HTTP {self.status}")


@dataclass(frozen=True, slots=True)
class Key:
    """An API key. Its value is in no repr, so that no log and no traceback shows it.

    is_new: API Gateway may not know it yet, and answer 403.
    """

    value: str = field(repr=False)
    is_new: bool = False

    def headers(self, _url: str, _body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers of a request with the key."""
        return {**headers, "x-api-key": self.value}


def url(outputs: Mapping[str, str], aws: Aws) -> str:
    """The API's URL, ending in a slash. On an emulator it is the one at the emulator's own port."""
    if aws.endpoint_url is None:
        return outputs[Output.API_URL].rstrip("/") + "/"
    return f"{aws.endpoint_url.rstrip('/')}/_aws/execute-api/{outputs[Output.API_ID]}/{outputs[Output.API_STAGE]}/"


def reachable(outputs: Mapping[str, str], aws: Aws) -> dict[str, str]:
    """The outputs, with URLs that work from here: an emulator's name other hosts, or an earlier port."""
    if aws.endpoint_url is None or Output.API_ID not in outputs:
        return dict(outputs)
    host = urlsplit(aws.endpoint_url).netloc
    queues: dict[str, str] = {
        str(name): urlunsplit(urlsplit(outputs[name])._replace(netloc=host))
        for name in (Output.QUEUE_URL, Output.DLQ_URL)
        if name in outputs
    }
    return {**outputs, **queues, Output.API_URL: url(outputs, aws)}


def key(aws: Aws, outputs: Mapping[str, str]) -> Key:
    """The value of the stack's API key. Raises NotFoundError where the key has none."""
    answer = aws.call("apigateway", "get_api_key", apiKey=outputs[Output.API_KEY_ID], includeValue=True)
    if not answer.get("value"):
        raise NotFoundError(f"API key {outputs[Output.API_KEY_ID]} has no value.", hint="Run `rtp deploy`.")
    created = answer.get("createdDate")
    now_ms = server_ms(answer) or times.now_ms()
    return Key(answer["value"], is_new=created is not None and now_ms - times.ms(created) < _NEW_KEY_SECONDS * 1000)


class Access(Protocol):
    """What admits a request: a key, or a signature. is_new: API Gateway may not know it yet, and answer 403."""

    @property
    def is_new(self) -> bool: ...  # noqa: D102

    def headers(self, url: str, body: bytes, headers: Mapping[str, str], /) -> dict[str, str]: ...  # noqa: D102


def access(aws: Aws, outputs: Mapping[str, str]) -> Access:
    """What the deployed API wants: the stack's own key, or a signature. Raises NotFoundError where the key is gone."""
    return Signature(aws) if outputs.get(Output.API_AUTH) == IAM else key(aws, outputs)


class Client:
    """Sends requests to one API. Any number of threads may use it."""

    def __init__(
        self,
        base: str,
        access: Access,
        *,
        connections: int,
        local: bool,
        clock: Callable[[], float] = time.perf_counter,
        in_flight: InFlight | None = None,
    ) -> None:
        self._base = base
        self._access = access
        self._clock = clock
        self._request = _request(base, connections, local=local)
        self._in_flight = in_flight or InFlight()

    def post(self, path: str, body: bytes, *, trace_header: str) -> Answer:
        """POST a JSON body. Returns an Answer for any HTTP status. Raises EndpointError where there is no response."""
        import urllib3

        headers = {
            "Content-Type": "application/json",
            "X-Amzn-Trace-Id": trace_header,
            "User-Agent": f"rtp/{__version__}",
        }
        headers = self._access.headers(self._base + path, body, headers)
        begun = self._clock()
        try:
            with self._in_flight.request(f"POST /{path}", self._base, limit_s=_READ_SECONDS):
                answer = self._request(path, body, headers)
                content = answer.data
        except urllib3.exceptions.HTTPError as error:
            raise EndpointError(
                f"Nothing answered at {self._base}{path} ({_reason(error)}).", hint="See `rtp status`."
            ) from None
        return Answer(
            answer.status,
            _object(content),
            (self._clock() - begun) * 1000,
            _seconds(answer.headers.get("Retry-After")),
            answer.headers.get(wire.REPLAYED_HEADER) == "true",
        )


def _request(base: str, connections: int, *, local: bool) -> Callable[[str, bytes, Mapping[str, str]], Any]:
    """A function that posts a body to a path below `base`; a redirect is an answer like others."""
    import urllib.request

    import urllib3

    options: dict[str, Any] = {
        "maxsize": connections,
        "block": False,
        "retries": False,
        "timeout": urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
    }
    place = urlsplit(base)
    proxy = None if local else urllib.request.getproxies().get(place.scheme)
    if proxy and not urllib.request.proxy_bypass(place.netloc):
        manager = urllib3.ProxyManager(proxy, **options)
        return lambda path, body, headers: manager.request("POST", base + path, body=body, headers=headers)
    # All requests go to one host: they need no manager, which takes each address apart to find the connections to it.
    pool = urllib3.connectionpool.connection_from_url(base, **options)
    retries = urllib3.Retry(False)
    return lambda path, body, headers: pool.urlopen(
        "POST", place.path + path, body, headers, retries=retries, redirect=False, assert_same_host=False
    )


def _object(content: bytes) -> dict[str, Any]:
    try:
        value = json_values.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _seconds(header: str | None) -> float | None:
    try:
        return None if header is None else min(60.0, max(0.0, float(header)))
    except ValueError:
        return None


def _reason(error: Exception) -> str:
    name = type(error).__name__
    return {
        "NewConnectionError": "connection refused",
        "ConnectTimeoutError": "no connection in time",
        "ReadTimeoutError": "no answer in time",
        "ProtocolError": "connection broken",
        "NameResolutionError": "name not known",
        "SSLError": "TLS failed",
        "ProxyError": "the proxy failed",
    }.get(name, name)
