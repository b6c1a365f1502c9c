"""`[infra] extend`: the user's own resources, as docs/your-code.md shows them, and their mistakes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtp.errors import ConfigError
from rtp.infra import child, inputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.infra.plan import Plan

PAGE = Path(__file__).parents[2] / "docs" / "your-code.md"


def of_page(name: str) -> str:
    """The code block of a file on the page."""
    match = re.search(rf"```\w+\n(?:#|//) {re.escape(name)}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert match
    return match[1]


def synthesised(plan: Plan, folder: Path) -> dict[str, Any]:
    child.run(plan, folder, folder / "log")
    template: dict[str, Any] = json.loads(Path(plan.out, f"{plan.names.stack}.template.json").read_text())
    return template


def test_the_page_s_resources_send_to_the_queue_and_have_the_stack_s_tags(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    # Given the page's file, which imports a module beside it
    (tmp_path / "infra.py").write_text("import beside\n" + of_page("infra.py"))
    (tmp_path / "beside.py").write_text("")
    own = plan("dev", out=str(tmp_path / "out"), extend=str(tmp_path / "infra.py"), root=str(tmp_path))
    # When
    resources = synthesised(own, tmp_path)["Resources"]
    # Then
    of_type = {r["Type"]: (id, r["Properties"]) for id, r in resources.items() if not id.startswith("Storage")}
    (queue,) = (i for i, r in resources.items() if r["Properties"].get("QueueName") == own.names.queue)
    (target,) = of_type["AWS::Events::Rule"][1]["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": [queue, "Arn"]}
    assert json.loads(target["InputTransformer"]["InputTemplate"].replace("<detail>", "0"))["type"] == "upload.created"
    assert of_type["Custom::S3BucketNotifications"][1]["NotificationConfiguration"] == {"EventBridgeConfiguration": {}}
    tags = {t["Key"]: t["Value"] for t in of_type["AWS::DynamoDB::Table"][1]["Tags"]}
    assert own.tags.items() <= tags.items()
    statements = json.dumps([r for r in resources.values() if r["Type"] in ("AWS::SQS::QueuePolicy", "AWS::KMS::Key")])
    assert statements.count("events.amazonaws.com") == 2  # the queue, and its key
    # And what it was built from is known; findings are about these resources alone
    record = inputs.take(tmp_path / "out", tmp_path, since_ns=2**63)
    assert set(record["inputs"]) == {"files:infra.py", "files:beside.py"}
    assert inputs.unchanged(record["inputs"], tmp_path)
    (tmp_path / "beside.py").write_text("x = 1")
    assert not inputs.unchanged(record["inputs"], tmp_path)
    paths = {finding["path"].partition("/")[0] for finding in record["findings"]}
    assert "Rates" in paths
    assert not paths & {"Storage", "Processing", "Ingest", "Monitoring", "Cleanup"}


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("def extend(pipeline):\n    nothing\n", "infra.py:2: NameError: name 'nothing' is not defined."),
        ("def extend(pipeline) -> None\n", "infra.py:1: SyntaxError: "),
        ("import nowhere\n", "infra.py:1: ModuleNotFoundError: No module named 'nowhere'."),
        ("x = 1\n", "infra.py:1: it has no function extend(pipeline)."),
    ],
)
def test_a_mistake_is_reported_with_file_and_line(
    plan: Callable[..., Plan], tmp_path: Path, code: str, text: str
) -> None:
    (tmp_path / "infra.py").write_text(code)
    own = plan("dev", out=str(tmp_path / "out"), extend=str(tmp_path / "infra.py"), root=str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        child.run(own, tmp_path, tmp_path / "log")
    assert caught.value.message.startswith(text)
    assert "Traceback" not in caught.value.message
