"""The search by tags lags behind: it lists deleted resources, and not yet the new ones."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from rtp.local.weather import delays
from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rtp.local.weather.call import Call, Response

_TARGET = b"ResourceGroupsTaggingAPI_20170126.GetResources"
_DELETIONS = ("DeleteStack", "ExecuteChangeSet", "UpdateStack")
Resource = dict[str, Any]


class TagSearch(Effect):
    """GetResources returns what was "tagged or previously tagged"."""

    name = "tag-search"
    summary = (
        f"The search by tags lists resources after their deletion ({delays.TAGS_OF_DELETED}), and new ones late "
        f"({delays.TAGS_OF_NEW})."
    )
    source = "https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html"

    def __init__(self, seed: int, now: Callable[[], float] = time.time) -> None:
        super().__init__(seed, now)
        self._known: dict[str, Resource] = {}
        self._gone: dict[str, tuple[Resource, float]] = {}
        self._new: dict[str, float] = {}
        self._has_looked = False

    async def before(self, call: Call) -> Response | None:
        """Look at what exists, before the call changes or lists it."""
        if call.named("resourcegroupstaggingapi", "GetResources") or call.named("cloudformation", *_DELETIONS):
            self._compare(await _resources(call))
        return None

    async def after(self, call: Call, response: Response) -> Response:
        """The list as it was: without new resources, and with deleted ones on its last page."""
        if not response.ok or not call.named("resourcegroupstaggingapi", "GetResources"):
            return response
        listed: list[Resource] = response.document.get("ResourceTagMappingList", [])
        shown = [r for r in listed if self.now() >= self._new.get(r["ResourceARN"], 0.0)]
        if not response.document.get("PaginationToken"):
            shown += [r for r, until in self._gone.values() if self.now() < until and matches(r, call.params)]
        if shown == listed:
            return response
        return response.with_document({**response.document, "ResourceTagMappingList": shown})

    def _compare(self, resources: Iterable[Resource]) -> None:
        """Note what has been created and deleted since the last look."""
        current = {resource["ResourceARN"]: resource for resource in resources}
        for arn, resource in self._known.items():
            if arn not in current:
                self._gone[arn] = resource, self.now() + delays.TAGS_OF_DELETED.draw(self.random)
        for arn in current:
            self._gone.pop(arn, None)
            if arn not in self._known and self._has_looked:
                self._new[arn] = self.now() + delays.TAGS_OF_NEW.draw(self.random)
        self._known, self._has_looked = current, True


def matches(resource: Resource, params: dict[str, Any]) -> bool:
    """Whether a search with these parameters finds the resource."""
    tags = {tag["Key"]: tag["Value"] for tag in resource.get("Tags", ())}
    for searched in params.get("TagFilters") or ():
        values = searched.get("Values") or ()
        if searched["Key"] not in tags or (values and tags[searched["Key"]] not in values):
            return False
    arn = str(resource["ResourceARN"])
    service, kind = arn.split(":")[2], arn.split(":", 5)[5].replace("/", ":").split(":")[0]
    types = params.get("ResourceTypeFilters")
    arns = params.get("ResourceARNList")
    return (not types or service in types or f"{service}:{kind}" in types) and (not arns or arn in arns)


async def _resources(call: Call) -> list[Resource]:
    """Everything with tags, from the engine itself."""
    resources: list[Resource] = []
    token = ""
    while True:
        body = json.dumps({"PaginationToken": token, "ResourcesPerPage": 100} if token else {}).encode()
        own = [(n, v) for n, v in call.scope["headers"] if n.lower() in (b"host", b"authorization", b"x-amz-date")]
        headers = [
            *own,
            (b"content-type", b"application/x-amz-json-1.1"),
            (b"x-amz-target", _TARGET),
            (b"content-length", str(len(body)).encode()),
        ]
        scope = {**call.scope, "method": "POST", "path": "/", "raw_path": b"/", "query_string": b"", "headers": headers}
        response = await call.engine(scope, body)
        if not response.ok:
            return resources
        resources += response.document.get("ResourceTagMappingList", [])
        token = response.document.get("PaginationToken") or ""
        if not token:
            return resources
