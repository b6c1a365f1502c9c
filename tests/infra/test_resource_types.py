"""Every type of every template is known: what people call it, and how it is looked up once its stack is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.aws import resource_types

if TYPE_CHECKING:
    from tests.infra.conftest import Template


def test_every_type_of_a_template_is_known(template: Template) -> None:
    types = {resource["Type"] for resource in template.body["Resources"].values()}
    assert types - set(resource_types.TYPES) == set()


def test_every_known_type_is_in_a_template(templates: dict[str, Template]) -> None:
    used = {resource["Type"] for t in templates.values() for resource in t.body["Resources"].values()}
    assert set(resource_types.TYPES) - used == set()
