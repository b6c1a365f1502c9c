"""A page of a list of objects, taken from the bucket without sorting all of its keys."""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.local.telemetry import Telemetry


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import s3

    replace(s3, "_collect_list_entries", page, "bucket_objects prefix delimiter max_keys start_after")


def page(
    bucket_objects: Mapping[str, Any], prefix: str, delimiter: str, max_keys: int, start_after: str
) -> tuple[list[str], list[str], bool, str]:
    """The keys and the common prefixes of a page, whether more exist, and the last of them."""
    values = [key for key in [*bucket_objects] if key > start_after and key.startswith(prefix)]
    if delimiter:  # a common prefix comes where its first key would come, and only once
        begin = len(prefix)
        ends = ((key, key.find(delimiter, begin)) for key in values)
        found = {key if end < 0 else key[: end + len(delimiter)] for key, end in ends}
        values = [value for value in found if value > start_after]
    rows = nsmallest(max_keys + 1, values)
    shown = rows[:max_keys]
    contents = [row for row in shown if not delimiter or delimiter not in row[len(prefix) :]]
    prefixes = [row for row in shown if delimiter and delimiter in row[len(prefix) :]]
    return contents, prefixes, len(rows) > max_keys, shown[-1] if shown else ""


PATCH = Patch(
    name="object_lists",
    aws="-",
    engine="Each page of a list of objects sorts every key of the bucket that has the prefix.",
    test="tests/unit/local/test_object_lists.py::test_a_page_is_as_without_the_patch",
    install=install,
    kind="speed",
)
