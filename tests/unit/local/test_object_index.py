"""The keys of a bucket's objects stay in order whatever is done with the objects."""

from __future__ import annotations

import copy
import json
import random

from rtp.local.object_index import Objects


def listed(objects: Objects) -> list[str]:
    return [key for key, _ in objects.rows("", "", "")]


def test_keys_stay_in_order_through_every_change() -> None:
    chance, objects, expected = random.Random(5), Objects({"b": 0, "a": 0}), {"a": 0, "b": 0}  # noqa: S311
    for number in range(2_000):
        key = f"{chance.randrange(60):02}"
        match chance.randrange(8):
            case 0 | 1 | 2:
                objects[key] = expected[key] = number
            case 3:
                assert objects.pop(key, None) == expected.pop(key, None)
            case 4 if key in expected:
                del objects[key], expected[key]
            case 5:
                assert objects.setdefault(key, number) == expected.setdefault(key, number)
            case 6 if expected:
                assert objects.popitem() == expected.popitem()
            case 7:
                objects |= {key: number}
                expected |= {key: number}
        assert objects == expected
        assert listed(objects) == sorted(expected)
    objects.clear()
    assert (listed(objects), len(objects)) == ([], 0)


def test_a_copy_and_its_json_are_those_of_a_dict() -> None:
    objects = Objects({"b": [1], "a": [2]})
    copied = copy.deepcopy(objects)
    copied["c"] = [3]
    assert (listed(copied), listed(objects)) == (["a", "b", "c"], ["a", "b"])
    assert json.loads(json.dumps(objects)) == {"b": [1], "a": [2]}


def test_a_page_reads_the_keys_of_its_rows_alone() -> None:
    class Read(str):
        __slots__ = ()
        reads = 0

        def startswith(self, *args: object) -> bool:
            Read.reads += 1
            return super().startswith(*args)  # type: ignore[arg-type]

    objects = Objects({Read(f"{part}/{n:05}"): n for part in "abc" for n in range(10_000)})
    rows = objects.rows("b/", "", "b/05000")
    assert [next(rows)[0] for _ in range(3)] == ["b/05001", "b/05002", "b/05003"]
    assert Read.reads <= 3
    assert [row for row, _ in objects.rows("", "/", "")] == ["a/", "b/", "c/"]
    assert Read.reads < 150
