"""Every type of every template is known: what people call it, and how it is looked up once its stack is gone."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import pytest

from rtp.aws import resource_types
from rtp.aws.stacks import Resource
from rtp.aws.states import ResourceStatus
from rtp.config import Environment
from rtp.errors import AwsError
from rtp.ops.stack.operation import Target
from rtp.ops.stack.teardown import proof
from tests.clocks import FakeClock
from tests.infra.test_extension import synthesised
from tests.unit.deploy.fakes import NOTHING, FakeAws, finished
from tests.unit.docs.test_your_code_page import FILES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rtp.aws import Aws
    from rtp.infra.plan import Plan
    from tests.infra.conftest import Template


class Gone(FakeAws):
    """An account in which no resource exists any more, whatever is asked."""

    def call(self, _service: str, operation: str, **params: Any) -> Any:
        if operation in NOTHING:
            return NOTHING[operation](**params)
        if operation == "get_sampling_rules":
            return {}
        raise AwsError(f"{operation}: no", service_code="404")


def proved(body: dict[str, Any], root: Path) -> tuple[proof.Gone, Counter[str]]:
    """What a destroy of this template proves, and how many resources it has of each type."""
    rows = [
        Resource(logical_id, f"https://sqs/1/{logical_id}", each["Type"], ResourceStatus("CREATE_COMPLETE"))
        for logical_id, each in body["Resources"].items()
    ]
    target = Target(cast("Aws", Gone()), Environment(name="dev", project="shop", root=root))
    steps = proof.prove(target, rows, frozenset(), keep_data=False, api_id="", clock=FakeClock().clock)
    found = finished(steps)
    assert found.left == ()
    assert found.gone.proven + len(found.gone.not_asked) == len(rows)
    return found.gone, Counter(row.resource_type for row in rows)


def test_every_type_of_a_template_is_known(templates: dict[str, Template]) -> None:
    types = {resource["Type"] for t in templates.values() for resource in t.body["Resources"].values()}
    assert types - set(resource_types.TYPES) == set()


def test_every_known_type_is_in_a_template(templates: dict[str, Template]) -> None:
    used = {resource["Type"] for t in templates.values() for resource in t.body["Resources"].values()}
    assert set(resource_types.TYPES) - used == set()


def test_every_resource_of_every_environment_is_asked_or_goes_with_a_parent_that_was(
    templates: dict[str, Template], tmp_path: Path
) -> None:
    for name, template in templates.items():
        gone, types = proved(template.body, tmp_path)
        asked = sum(n for kind, n in types.items() if resource_types.of(kind).lookup is not None)
        assert (gone.not_asked, gone.asked) == ((), asked), name


@pytest.mark.long
def test_every_resource_of_an_extension_is_asked_or_goes_with_its_parent_or_is_listed(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    # Given the page's extension, and beside it a type that rtp does not know
    code = FILES["infra.py"] + "    from aws_cdk import CfnResource\n"
    code += '    CfnResource(pipeline.stack, "Theirs", type="AWS::Glue::Database", properties={})\n'
    (tmp_path / "infra.py").write_text(code)
    own = plan("dev", out=str(tmp_path / "out"), extend=str(tmp_path / "infra.py"), root=str(tmp_path))
    # When its stack is destroyed
    gone, types = proved(synthesised(own, tmp_path), tmp_path)
    # Then those that no call of rtp's asks for are listed, each with the reason
    unknown = {
        kind: n for kind, n in types.items() if not (known := resource_types.of(kind)).lookup and not known.part_of
    }
    assert "AWS::Glue::Database" in unknown
    assert len(gone.not_asked) == sum(unknown.values())
    assert {each.why for each in gone.not_asked} == {"rtp knows no call that asks for this type"}
