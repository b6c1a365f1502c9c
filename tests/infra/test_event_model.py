"""The gateway's model and the runtime agree on what an event is."""

from __future__ import annotations

import string
from typing import Any

import fastjsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from rtp.infra.event_schema import EVENT
from rtp.runtime import event, jsontext

UUID7 = "01890a5d-ac96-774b-bcce-b302099a8057"
_model = fastjsonschema.compile(EVENT)
_names = st.one_of(
    st.text(string.ascii_letters, min_size=0, max_size=3),
    st.sampled_from(["x" * 128, "x" * 129, UUID7, UUID7.upper(), UUID7.replace("-7", "-4", 1), f"{UUID7}0", 1, None]),
)
_times = st.one_of(
    st.integers(-1, 1),
    st.sampled_from([253_402_300_799_999, 253_402_300_800_000, "1", None, True, 1.5]),
    st.sampled_from([946_684_799, 946_684_800, 1_764_100_000, 4_102_444_800, 4_102_444_801]),
)
_events: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {},
    optional={
        "type": _names,
        "data": st.sampled_from([{}, {"a": 1}, [], None, "x"]),
        "id": _names,
        "timestamp": _times,
        "more": st.just(1),
    },
)


@settings(deadline=None)
@given(st.one_of(_events, st.sampled_from([None, [], "event", 1])))
def test_the_gateway_and_the_runtime_accept_the_same_events(value: Any) -> None:
    assert _fits_model(value) == _fits_runtime(value)


def test_an_id_that_is_no_uuid7_needs_a_timestamp() -> None:
    whole = {"type": "t", "data": {}}
    assert _fits_model(whole)
    assert _fits_model({**whole, "id": UUID7})
    assert _fits_model({**whole, "id": "order-1", "timestamp": 1})
    assert not _fits_model({**whole, "id": "order-1"})


def _fits_model(value: Any) -> bool:
    try:
        _model(value)
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True


def _fits_runtime(value: Any) -> bool:
    try:
        event.parse(jsontext.dumps(value), event.Identity("r-1", 1))
    except event.InvalidEventError:
        return False
    return True
