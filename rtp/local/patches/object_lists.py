"""A page of a list of objects, taken from an index of the bucket's keys."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from rtp.local.object_index import Objects
from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.local.telemetry import Telemetry


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import s3

    require(s3, "_buckets")
    replace(s3, "_collect_list_entries", page, "bucket_objects prefix delimiter max_keys start_after")
    for name in ("_list_objects_v1", "_list_objects_v2"):
        Lists(s3, name)


PATCH = Patch(
    name="object_lists",
    aws="-",
    engine="Each page of a list of objects reads and sorts every key of the bucket.",
    test="tests/unit/local/test_object_lists.py::test_a_page_is_as_without_the_patch",
    install=install,
    kind="speed",
)


class Lists:
    """One of the two actions that list objects. The first list of a bucket makes its index."""

    def __init__(self, s3: Any, name: str) -> None:
        self._s3 = s3
        self._list: Any = replace(s3, name, self.objects, "bucket_name query_params")

    def objects(self, bucket_name: str, query_params: dict[str, Any]) -> Any:
        """A page."""
        bucket = self._s3._buckets.get(bucket_name)
        if bucket is not None and not isinstance(bucket["objects"], Objects):
            bucket["objects"] = Objects(bucket["objects"])
        return self._list(bucket_name, query_params)


def page(
    bucket_objects: Mapping[str, Any], prefix: str, delimiter: str, max_keys: int, start_after: str
) -> tuple[list[str], list[str], bool, str]:
    """The keys and the common prefixes of a page, whether more exist, and the last of them."""
    objects = bucket_objects if isinstance(bucket_objects, Objects) else Objects(bucket_objects)
    rows = list(islice(objects.rows(prefix, delimiter, start_after), max_keys + 1))
    shown = rows[:max_keys]
    contents = [value for value, is_common in shown if not is_common]
    prefixes = [value for value, is_common in shown if is_common]
    return contents, prefixes, len(rows) > max_keys, shown[-1][0] if shown else ""
