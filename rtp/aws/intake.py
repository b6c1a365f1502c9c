"""API Gateway: closes a stage by a throttle of 0, with a mark that says who closed it and which limits applied before.

With a rate and burst of 0 every request gets 429. The mark is two stage variables, written by the same call as the
throttle, so that anyone can open the stage again, also after the process that closed it was killed.
CloudFormation does not see the throttle and the mark, and does not change them unless the template's settings change.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rtp.aws.logs import server_ms
from rtp.errors import AwsError

if TYPE_CHECKING:
    from rtp.aws import Aws

ALL = "*/*"  # the settings of all methods without their own
_MARK, _BEFORE = "rtp_intake_closed", "rtp_intake_before"
_LATEST = 253_402_300_799_000  # epoch ms of the last moment of the year 9999


@dataclass(frozen=True, slots=True)
class Throttle:
    """Limits of one method, or of all. method: GetStage's key, such as `*/*`. rate, burst: None where not set."""

    method: str
    rate: float | None
    burst: int | None

    @property
    def closed(self) -> bool:
        """Whether it refuses every request."""
        return self.rate == 0 and self.burst == 0


@dataclass(frozen=True, slots=True)
class Mark:
    """Who closed the stage. token: identifies the run that did. since: epoch ms."""

    token: str
    user: str
    host: str
    pid: int
    since: int


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage. throttles: the current ones. before: those that applied when it was marked. server_ms: AWS's clock.

    is_logged: whether it writes logs; rtp's stages write the access log and the errors, or neither.
    """

    throttles: tuple[Throttle, ...]
    mark: Mark | None
    before: tuple[Throttle, ...]
    server_ms: int | None
    is_logged: bool

    @property
    def closed(self) -> bool:
        """Whether all requests are refused, save to methods that have their own settings."""
        return any(t.closed for t in self.throttles if t.method == ALL)


def read(aws: Aws, api_id: str, name: str) -> Stage | None:
    """The stage; None where the stage or the API does not exist."""
    try:
        answer = aws.call("apigateway", "get_stage", restApiId=api_id, stageName=name)
    except AwsError as error:
        if error.service_code == "NotFoundException":
            return None
        raise
    settings: dict[str, dict[str, Any]] = answer.get("methodSettings") or {}
    throttles = [
        Throttle(method, *_numbers(one.get("throttlingRateLimit"), one.get("throttlingBurstLimit")))
        for method, one in settings.items()
    ]
    if ALL not in settings:
        throttles.append(Throttle(ALL, None, None))
    variables = answer.get("variables") or {}
    is_logged = settings.get(ALL, {}).get("loggingLevel") != "OFF"
    return Stage(tuple(throttles), *_decoded(variables), server_ms(answer), is_logged)


def close(aws: Aws, api_id: str, name: str, stage: Stage, mark: Mark) -> None:
    """Refuse every request from now on. A stage that is marked already keeps its note of the limits before that."""
    before = stage.before or stage.throttles
    patch = [step for t in stage.throttles for step in _limits(t.method, "0", "0")]
    patch += [
        _replace(f"/variables/{_MARK}", _encoded(asdict(mark))),
        _replace(f"/variables/{_BEFORE}", _encoded([[t.method, t.rate, t.burst] for t in before])),
    ]
    aws.call("apigateway", "update_stage", restApiId=api_id, stageName=name, patchOperations=patch)


def open_again(aws: Aws, api_id: str, name: str, stage: Stage, default: Throttle | None = None) -> None:
    """Restore the limits that applied before the stage was closed, and remove the mark.

    default: the limits of all methods, where the earlier ones are not known or were 0 too. A method that somebody has
    opened meanwhile keeps its limits.
    """
    shut = {t.method for t in stage.throttles if t.closed}
    before = stage.before
    if default is not None and not any(t.method == ALL and not t.closed for t in before):
        before = (default, *(t for t in before if t.method != ALL))
    patch = [step for t in before if t.method in shut for step in _restored(t)]
    variables = (_MARK, _BEFORE) if stage.mark is not None or stage.before else ()
    patch += [{"op": "remove", "path": f"/variables/{variable}"} for variable in variables]
    if patch:
        aws.call("apigateway", "update_stage", restApiId=api_id, stageName=name, patchOperations=patch)


def _restored(before: Throttle) -> list[dict[str, str]]:
    if before.rate is None or before.burst is None:
        return [{"op": "remove", "path": _path(before.method)}]
    return _limits(before.method, str(before.rate), str(before.burst))


def _limits(method: str, rate: str, burst: str) -> list[dict[str, str]]:
    path = f"{_path(method)}/throttling"
    return [_replace(f"{path}/rateLimit", rate), _replace(f"{path}/burstLimit", burst)]


def _path(method: str) -> str:
    """Path of a method's settings in a patch. The resource is one segment of it, with its slashes as `~1`."""
    resource, _, verb = method.rpartition("/")
    if resource != "*" and not resource.startswith("~1"):
        resource = f"~1{resource.removeprefix('/').replace('/', '~1')}"
    return f"/{resource}/{verb}"


def _replace(path: str, value: str) -> dict[str, str]:
    return {"op": "replace", "path": path, "value": value}


def _encoded(value: Any) -> str:
    """Encode a value for a stage variable, which allows no quotes, no braces and no `*`."""
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode()


def _decoded(variables: dict[str, str]) -> tuple[Mark | None, tuple[Throttle, ...]]:
    """The mark and the limits before it; None and nothing where they cannot be read."""
    try:
        holder, earlier = (json.loads(base64.urlsafe_b64decode(variables[name])) for name in (_MARK, _BEFORE))
        pid, since = int(holder["pid"]), int(holder["since"])
        mark = Mark(str(holder["token"]), str(holder["user"]), str(holder["host"]), pid, max(0, min(since, _LATEST)))
        before = tuple(Throttle(str(method), *_numbers(rate, burst)) for method, rate, burst in earlier)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None, ()
    return mark, before


def _numbers(rate: float | None, burst: int | None) -> tuple[float | None, int | None]:
    return None if rate is None else float(rate), None if burst is None else int(burst)
