"""How much concurrency the API function reserves, and what an account has room for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rtp.config import Environment
from rtp.config.settings import Settings
from rtp.errors import AwsError, ConfigError
from rtp.ops.stack.build import limits
from tests.unit.deploy.fakes import FakeAws

if TYPE_CHECKING:
    from pathlib import Path


def account(limit: int, unreserved: int, own: int | None = None) -> Any:
    """own: what the function reserves now; None: it does not exist."""

    def function(FunctionName: str) -> dict[str, Any]:
        assert FunctionName == "shop-dev-processor"
        if own is None:
            raise AwsError("lambda: none", service_code="ResourceNotFoundException")
        return {"ReservedConcurrentExecutions": own} if own else {}

    counts = {"ConcurrentExecutions": limit, "UnreservedConcurrentExecutions": unreserved}
    return FakeAws({"get_account_settings": lambda **_: {"AccountLimit": counts}, "get_function_concurrency": function})


def reserve(root: Path, aws: Any, setting: int | None, *, protected: bool = True) -> limits.Reservation:
    environment = Environment(
        name="dev", project="shop", root=root, protected=protected, settings=Settings(reserved_concurrency=setting)
    )
    return limits.reservation(aws, environment)


@pytest.mark.parametrize(
    ("limit", "unreserved", "own", "setting", "expected"),
    [
        (1000, 1000, None, None, 100),
        (1000, 200, None, None, 100),  # exactly room for it
        (1000, 199, None, None, None),  # one too few
        (1000, 199, 1, None, 100),  # what the function has already is counted
        (1000, 100, 100, 100, 100),
        (1000, 100, 0, None, None),
        (1000, 900, None, 800, 800),
        (10, 10, None, None, None),
        (11, 11, None, 1, 1),  # a new account keeps ten, not a hundred
        (100, 100, None, 90, 90),
        (101, 101, None, 1, 1),
    ],
)
def test_what_is_reserved(
    tmp_path: Path, limit: int, unreserved: int, own: int | None, setting: int | None, expected: int | None
) -> None:
    found = reserve(tmp_path, account(limit, unreserved, own), setting)
    assert found.concurrency == expected
    assert bool(found.warning) == (expected is None)


@pytest.mark.parametrize(
    ("limit", "unreserved", "own", "setting", "room"),
    [
        (1000, 900, None, 801, 800),
        (1000, 100, 50, 51, 50),
        (100, 100, None, 91, 90),
        (10, 10, None, 1, 0),
        (1000, 60, None, 1, 0),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_with_what_fits(
    tmp_path: Path, limit: int, unreserved: int, own: int | None, setting: int, room: int
) -> None:
    with pytest.raises(ConfigError, match=rf"limit is {limit}, of which {room} can still be reserved") as caught:
        reserve(tmp_path, account(limit, unreserved, own), setting)
    assert caught.value.code == "concurrency"
    assert f"Set it to {room} or less" in caught.value.hint


def test_nothing_is_asked_where_nothing_is_reserved(tmp_path: Path) -> None:
    aws: Any = FakeAws()
    assert reserve(tmp_path, aws, None, protected=False) == limits.Reservation(None)
    assert aws.operations() == []


def test_an_account_that_may_not_be_read_is_no_obstacle(tmp_path: Path) -> None:
    def denied(**_: Any) -> Any:
        raise AwsError("lambda get_account_settings: no", code="access-denied")

    aws: Any = FakeAws({"get_account_settings": denied})
    found = reserve(tmp_path, aws, 30)
    assert found.concurrency == 30 and "cannot be read" in found.warning

    def broken(**_: Any) -> Any:
        raise AwsError("lambda get_account_settings: no", code="unavailable")

    aws = FakeAws({"get_account_settings": broken})
    with pytest.raises(AwsError):
        reserve(tmp_path, aws, 30)
