"""Versions of the functions: the last releases stay, with whatever an alias points at; the others go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from rtp.config import Environment
from rtp.errors import AwsError
from rtp.ops.stack.code import versions
from rtp.ops.stack.operation import Target
from tests.unit.deploy.fakes import FakeAws

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.aws import Aws

PUBLISHES = {"Resources": {"V": {"Type": "AWS::Lambda::Version"}}}
PLAIN: dict[str, Any] = {"Resources": {"F": {"Type": "AWS::Lambda::Function"}}}


class Lambda:
    """Two functions with versions and an alias, or none. refused: every deletion fails."""

    def __init__(self, count: int, alias: dict[str, Any] | None = None, *, refused: bool = False) -> None:
        self.numbers = list(range(1, count + 1))
        self.alias = alias
        self.refused = refused
        self.left: dict[str, list[int]] = {}

    def aws(self) -> FakeAws:
        return FakeAws(
            {
                "list_versions_by_function": self.versions,
                "list_aliases": lambda **_: {"Aliases": [self.alias] if self.alias else []},
                "delete_function": self.delete,
            }
        )

    def of(self, name: str) -> list[int]:
        return self.left.setdefault(name, list(self.numbers))

    def versions(self, *, FunctionName: str) -> dict[str, Any]:
        return {"Versions": [{"Version": "$LATEST"}, *({"Version": str(n)} for n in self.of(FunctionName))]}

    def delete(self, *, FunctionName: str, Qualifier: str) -> dict[str, Any]:
        if self.refused:
            raise AwsError("You may not delete it.", service_code="AccessDeniedException")
        self.of(FunctionName).remove(int(Qualifier))
        return {}


def target(tmp_path: Path, aws: FakeAws, **values: Any) -> Target:
    settings = {"name": "prod", "root": tmp_path, "region": "us-east-1", "project": "shop", **values}
    return Target(cast("Aws", aws), Environment(**settings))


LIVE = {"Name": "live", "FunctionVersion": "14"}


@pytest.mark.parametrize(
    ("alias", "left"),
    [
        (LIVE, list(range(5, 15))),
        ({**LIVE, "FunctionVersion": "2"}, [2, *range(5, 15)]),  # rolled back by hand, long ago
        ({**LIVE, "RoutingConfig": {"AdditionalVersionWeights": {"13": 0.1}}}, list(range(1, 15))),  # a rollout runs
        ({**LIVE, "RoutingConfig": {"AdditionalVersionWeights": {}}}, list(range(5, 15))),
    ],
)
def test_the_versions_of_the_last_ten_releases_stay(tmp_path: Path, alias: dict[str, Any], left: list[int]) -> None:
    functions = Lambda(14, alias)
    assert list(versions.prune(target(tmp_path, functions.aws()), PUBLISHES)) == []
    assert functions.left == {"shop-prod-processor": left, "shop-prod-worker": left}


def test_without_an_alias_nothing_needs_them(tmp_path: Path) -> None:
    functions = Lambda(3)
    assert list(versions.prune(target(tmp_path, functions.aws()), PLAIN)) == []
    assert functions.left == {"shop-prod-processor": [], "shop-prod-worker": []}


def test_what_cannot_be_deleted_is_a_warning(tmp_path: Path) -> None:
    warnings = list(versions.prune(target(tmp_path, Lambda(11, LIVE, refused=True).aws()), PUBLISHES))
    assert [w.message.split(":")[0] for w in warnings] == [
        "Old versions of shop-prod-processor were not deleted",
        "Old versions of shop-prod-worker were not deleted",
    ]


def test_an_environment_that_is_protected_again_can_publish_the_same_code(tmp_path: Path) -> None:
    functions = Lambda(2)
    assert list(versions.make_room(target(tmp_path, functions.aws()), PLAIN, PUBLISHES)) == []
    assert functions.left == {"shop-prod-processor": [], "shop-prod-worker": []}


@pytest.mark.parametrize(("old", "new"), [(PUBLISHES, PUBLISHES), (PUBLISHES, PLAIN), (PLAIN, PLAIN)])
def test_any_other_update_keeps_its_versions(tmp_path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    functions = Lambda(2, LIVE)
    assert list(versions.make_room(target(tmp_path, functions.aws()), old, new)) == []
    assert functions.left == {}


def test_the_local_engine_publishes_none(tmp_path: Path) -> None:
    aws = FakeAws()
    assert list(versions.prune(target(tmp_path, aws, name="local"), PLAIN)) == []
    assert aws.asked == []
