"""The stored items of a table answer as dicts do, and are saved and read again without a change."""

from __future__ import annotations

import copy
import json
import random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from rtp.local.items import Items
from rtp.local.patches import stored_items

if TYPE_CHECKING:
    from collections.abc import Mapping

ODD = ("\ud800", "é\u2028", '"\\/\x01', "")


def item(text: str) -> dict[str, Any]:
    return {"id": {"S": text}, "tags": {"L": [{"N": "1"}, {"NULL": True}]}, "of": {"M": {"a": {"SS": ["b", "c"]}}}}


def plain(items: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {pk: dict(bucket) for pk, bucket in items.items() if bucket}


def test_random_operations_answer_as_dicts_do() -> None:
    draw = random.Random(5)  # noqa: S311 - no secret
    items, model = Items(), dict[str, dict[str, Any]]()
    for n in range(5_000):
        pk, sk = f"p{draw.randrange(20)}", f"s{draw.randrange(3)}"
        if draw.random() < 0.5:
            new = item(f"{n}{draw.choice(ODD)}")
            items.setdefault(pk, {})[sk] = new
            model.setdefault(pk, {})[sk] = copy.deepcopy(new)
        elif pk in items:
            assert items[pk].pop(sk, None) == model[pk].pop(sk, None)
            assert bool(items[pk]) == bool(model[pk])
            if not items[pk]:
                del items[pk], model[pk]
        assert items.get(pk, {}).get(sk) == model.get(pk, {}).get(sk)
        assert (pk in items, sk in items.get(pk, ())) == (pk in model, sk in model.get(pk, ()))
        assert (len(items), len(items[pk])) == (len(model), len(model.get(pk, {})))
    assert plain(items) == model
    assert plain(Items(model)) == plain(copy.deepcopy(items)) == copy.deepcopy(dict(items)) == model


def test_what_is_read_is_changed_by_nobody_else() -> None:
    new = item("a")
    items = Items({"p": {"s": new}})
    new["id"]["S"] = "b"
    items["p"]["s"]["id"]["S"] = "c"
    assert items["p"]["s"] == item("a")


@pytest.mark.parametrize("text", ["a", *ODD[1:]], ids=["ascii", "beyond", "escaped", "empty"])
def test_a_saved_state_is_read_again_as_it_was(text: str) -> None:
    items = Items({"p": {"s": item(text)}, "q": {"s": item("b"), "t": item("c")}})
    written = msgspec.json.encode(items.saved(raw=True))
    assert json.loads(written) == items.saved(raw=False) == plain(items)
    assert plain(Items.from_json(written)) == plain(items)
    assert plain(Items.from_json(json.dumps(items.saved(raw=False)).encode())) == plain(items)


def test_what_is_no_json_stays_as_it_is() -> None:
    number, half = {"id": {"B": b"\x00"}}, {"id": {"S": "\ud800"}}
    items = Items({"p": {"s": number, "t": half}})
    assert dict(items["p"]) == {"s": number, "t": half}
    assert json.loads(json.dumps({"t": items.saved(raw=False)["p"]["t"]})) == {"t": half}


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The engine's module with an empty table and the patch, whose own functions are restored."""
    from ministack.services import dynamodb as module

    for name in ("_set_item", "_ttl_settings", "_tables"):
        monkeypatch.setattr(module, name, getattr(module, name))
    module._tables = type(module._tables)()
    stored_items.PATCH.install(None)  # type: ignore[arg-type]  # it reports nothing
    table = {
        "TableName": "records",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    }
    assert module._create_table(table)[0] == 200
    return module


def test_an_item_is_deleted_once_its_time_to_live_has_passed(dynamodb: Any) -> None:
    for name, ends in (("past", {"N": "100"}), ("later", {"N": "201"}), ("text", {"S": "soon"}), ("never", None)):
        expiry = {"expires-at": ends} if ends else {"note": {"S": "expires-at"}}
        assert dynamodb._put_item({"TableName": "records", "Item": {"id": {"S": name}, **expiry}})[0] == 200
    assert isinstance(dynamodb._tables["records"]["items"], Items)
    stored_items.expire(dynamodb, dynamodb._tables["records"], "expires-at", 200)
    assert sorted(dynamodb._tables["records"]["items"]) == ["later", "never", "text"]
    assert dynamodb._tables["records"]["ItemCount"] == 3


def test_the_engine_leaves_the_reading_of_expired_items_to_the_patch(dynamodb: Any) -> None:
    put = {"TableName": "records", "Item": {"id": {"S": "past"}, "ends": {"N": "1"}}}
    assert dynamodb._put_item(put)[0] == 200
    setting = {"TableName": "records", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "ends"}}
    assert dynamodb._update_ttl(setting)[0] == 200
    assert dynamodb._ttl_settings.all_items() == []
    assert len(dynamodb._tables["records"]["items"]) == 0
