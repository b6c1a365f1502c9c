"""`[infra] extend`: the user's own resources, as docs/your-code.md shows them, and their mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtp.config import Environment
from rtp.errors import ConfigError
from rtp.infra import child, inputs
from rtp.ops.stack.build import synth
from tests.unit.docs.test_your_code_page import FILES

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.infra.plan import Plan


def synthesised(plan: Plan, folder: Path) -> dict[str, Any]:
    child.run(plan, folder, folder / "log")
    template: dict[str, Any] = json.loads(Path(plan.out, f"{plan.names.stack}.template.json").read_text())
    return template


def test_the_page_s_resources_send_to_the_queue_and_have_the_stack_s_tags(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    # Given the page's file, which imports a module beside it
    (tmp_path / "infra.py").write_text("import beside\n" + FILES["infra.py"])
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
        pytest.param("def extend(pipeline) -> None\n", "infra.py:1: SyntaxError: ", marks=pytest.mark.long),
        pytest.param(
            "import nowhere\n", "infra.py:1: ModuleNotFoundError: No module named 'nowhere'.", marks=pytest.mark.long
        ),
        pytest.param("x = 1\n", "infra.py:1: it has no function extend(pipeline).", marks=pytest.mark.long),
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


@pytest.mark.long
def test_the_files_that_the_extension_has_read_are_watched_and_make_its_assembly_stale(tmp_path: Path) -> None:
    # Given an extension that imports a module and reads a file
    env = Environment(name="local", root=tmp_path, file=tmp_path / "rtp.toml", extend=tmp_path / "infra.py")
    code = "import beside\nfrom pathlib import Path\n\n\ndef extend(pipeline):\n    Path('r.txt').read_text()\n"
    for name, text in (("infra.py", code), ("beside.py", ""), ("r.txt", "1")):
        (tmp_path / name).write_text(text)
    # When it was synthesised
    assert not synth.synth(env).cached
    # Then `deploy --watch` sees each of the files, and a change of one is built
    assert {p.name for p in synth.extension_paths(env)} == {"infra.py", "beside.py", "r.txt"}
    assert synth.synth(env).cached
    (tmp_path / "r.txt").write_text("2")
    assert not synth.synth(env).cached


@pytest.mark.long
def test_a_file_that_the_extension_writes_itself_is_no_input(tmp_path: Path) -> None:
    # Given an extension that reads a file and writes it anew, which a watch would take for a save, without end
    env = Environment(name="local", root=tmp_path, file=tmp_path / "rtp.toml", extend=tmp_path / "infra.py")
    (tmp_path / "infra.py").write_text(
        "import time\nfrom pathlib import Path\n\n\ndef extend(pipeline):\n"
        "    file = Path(__file__).with_name('built.txt')\n"
        "    file.read_text()\n    file.write_text(str(time.time_ns()))\n"
    )
    (tmp_path / "built.txt").write_text("")
    assert not synth.synth(env).cached
    assert [path.name for path in synth.extension_paths(env)].count("built.txt") == 0
    assert synth.synth(env).cached


@pytest.mark.long
def test_the_command_names_the_line_of_the_extension_that_failed(tmp_path: Path) -> None:
    (tmp_path / "rtp.toml").write_text('project = "shop"\n[infra]\nextend = "infra.py"\n')
    (tmp_path / "infra.py").write_text("from rates import table\n\n\ndef extend(pipeline):\n    table(pipeline)\n")
    (tmp_path / "rates.py").write_text("def table(pipeline):\n    pipeline.tabel\n")
    argv = [sys.executable, "-m", "rtp", "synth"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3, done.stderr
    assert "error: rates.py:2: AttributeError: 'Pipeline' object has no attribute 'tabel'" in done.stderr
    assert "Traceback" not in done.stderr
