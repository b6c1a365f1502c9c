"""The list of a bucket's objects by the patch is MiniStack's own."""

from __future__ import annotations

import importlib
import random

import pytest

from rtp.local.patches.object_lists import page

_own = importlib.import_module("ministack.services.s3")._collect_list_entries
_KEYS = [
    f"{a}{sep}{b}{end}"
    for a in ("raw", "r", "é", "")
    for sep in ("/", "-", "//")
    for b in "ab"
    for end in ("", "/", "/x")
]


@pytest.mark.parametrize("delimiter", ["", "/", "aw"])
@pytest.mark.parametrize("prefix", ["", "raw", "raw/", "é", "absent"])
def test_a_page_is_as_without_the_patch(prefix: str, delimiter: str) -> None:
    keys = random.Random(7).sample(_KEYS, len(_KEYS))  # noqa: S311 (an order, no secret)
    objects = dict.fromkeys(keys)
    for start in ("", "raw/", "raw/a", *keys[:5]):
        for most in (0, 1, 2, 5, 1000):
            assert page(objects, prefix, delimiter, most, start) == _own(objects, prefix, delimiter, most, start)


@pytest.mark.parametrize("delimiter", ["", "/"])
def test_the_pages_in_a_row_have_every_key_once(delimiter: str) -> None:
    objects, found, start, more = dict.fromkeys(_KEYS), [], "", True
    while more:
        contents, prefixes, more, start = page(objects, "", delimiter, 3, start)
        found += sorted(contents + prefixes)
    everything = _own(objects, "", delimiter, 1000, "")
    assert found == sorted(everything[0] + everything[1])
