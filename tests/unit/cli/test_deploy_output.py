"""A deploy prints all outputs once, and later those that changed."""

from __future__ import annotations

from rtp.commands.render import progress
from rtp.ops.stack import steps
from rtp.terminal import draw

OUTPUTS = {"ApiUrl": "https://api.example/prod/", "TableName": "shop-dev-table"}


def test_all_outputs_are_printed_after_the_first_deploy_and_later_those_that_changed() -> None:
    def shown(*changed: str) -> list[str] | None:
        elements = progress.outputs_views(steps.Outputs(OUTPUTS, changed))
        return None if elements is None else [draw.flat(element) for element in elements]

    assert shown(*OUTPUTS) == ["ApiUrl     https://api.example/prod/\nTableName  shop-dev-table"]
    assert shown("TableName") == ["TableName  shop-dev-table"]
    assert shown() is None
