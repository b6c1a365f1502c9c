"""Synthesis as commands call it: an assembly in its folder, cached if nothing changed, and short errors."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from rtp.config import Environment
from rtp.config.settings import Settings
from rtp.errors import ConfigError, RefusedError, RtpError
from rtp.ops.stack.build import synth as module
from rtp.ops.stack.build.synth import Assembly, synth

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    root = tmp_path_factory.mktemp("project")
    (root / "processors.py").write_text("")
    return Environment(name="local", root=root, processors=root / "processors.py")


@pytest.fixture(scope="module")
def built(env: Environment) -> Assembly:
    return synth(env)


def test_an_assembly_is_what_the_cdk_cli_reads(built: Assembly, env: Environment) -> None:
    assert built.path == env.root / ".rtp" / "cdk" / "local"
    assert json.loads(built.template_file.read_text()) == built.template
    assert (built.path / "manifest.json").is_file()
    assert not built.cached
    # The code, the layer and the template itself; no path of this machine, so that it can be moved.
    files = json.loads((built.path / f"{env.names.stack}.assets.json").read_text())["files"]
    assert len(files) == 3
    for file in built.path.glob("*.json"):
        if not file.name.endswith("metadata.json"):
            assert str(env.root) not in file.read_text() or file.name == "rtp.json"


def test_an_unchanged_environment_is_not_built_again(built: Assembly, env: Environment) -> None:
    # When: it is synthesised again, in a fresh interpreter.
    script = (
        "import sys, json\nfrom pathlib import Path\nfrom rtp.config import Environment\n"
        "from rtp.ops.stack.build.synth import synth\n"
        "root = Path(sys.argv[1])\n"
        "assembly = synth(Environment(name='local', root=root, processors=root / 'processors.py'))\n"
        "print(json.dumps([assembly.cached, sorted({m.split('.')[0] for m in sys.modules})]))"
    )
    argv = [sys.executable, "-c", script, str(env.root)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)

    # Then: the existing assembly is returned, without the CDK and Node.
    cached, loaded = json.loads(done.stdout)
    assert cached
    assert not {"aws_cdk", "jsii", "boto3"} & set(loaded)
    assert synth(env).template == built.template


@pytest.mark.parametrize(
    "change",
    [
        {"settings": Settings(memory_mb=1024)},
        {"region": "eu-west-1"},
        {"owner": "Night"},
        {"protected": True},
        {"processors": None},
    ],
)
def test_a_change_of_any_input_makes_the_assembly_stale(
    change: dict[str, object], built: Assembly, env: Environment
) -> None:
    other = replace(env, **change)  # type: ignore[arg-type]
    assert _fingerprint(other) != _fingerprint(env)
    assert built.path.exists()


def test_an_assembly_with_a_missing_asset_is_built_again(built: Assembly, env: Environment, tmp_path: Path) -> None:
    # Given: an assembly that misses an asset.
    plan = module._plan(env, built.path, None, None, force=False)
    fingerprint = module._fingerprint(plan)
    asset = next(built.path.glob("asset.*.zip"))
    asset.rename(tmp_path / asset.name)

    # Then: it is not loaded until the asset is back.
    assert module._load(plan, fingerprint) is None
    (tmp_path / asset.name).rename(asset)
    assert module._load(plan, fingerprint) is not None


@pytest.mark.parametrize("pattern", ["asset.*.zip", "*.template.json", "manifest.json"])
def test_an_assembly_of_which_somebody_changed_a_file_is_built_again(
    built: Assembly, env: Environment, pattern: str
) -> None:
    plan = module._plan(env, built.path, None, None, force=False)
    fingerprint = module._fingerprint(plan)
    file = next(built.path.glob(pattern))
    content = file.read_bytes()
    file.write_bytes(content + b" ")
    try:
        assert module._load(plan, fingerprint) is None
    finally:
        file.write_bytes(content)
    assert module._load(plan, fingerprint) is not None


def test_a_folder_with_other_files_is_not_replaced(env: Environment, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RefusedError, match="not empty"):
        synth(env, out=tmp_path)
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.long
def test_a_linked_folder_is_written_through_its_link_and_no_other_file_is_changed(
    env: Environment, tmp_path: Path
) -> None:
    # Given a link as the folder, and files of the user
    (tmp_path / "there").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "there")
    (tmp_path / "out.log").write_text("mine")
    (tmp_path / "there.log").write_text("mine")
    # When
    assembly = synth(env, out=tmp_path / "out")
    # Then
    assert (tmp_path / "out").is_symlink()
    assert assembly.template_file.parent == tmp_path / "there"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "out.log", "there", "there.log"]
    # And when it fails, the files are unchanged
    with pytest.raises(RtpError):
        synth(replace(env, root=tmp_path / "project", project="no_such_name", name="local"), out=tmp_path / "out")
    assert (tmp_path / "out.log").read_text() == (tmp_path / "there.log").read_text() == "mine"


def test_a_folder_that_cannot_be_used_is_named(env: Environment, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be used"):
        synth(replace(env, root=tmp_path / "file"))


def test_the_account_must_be_known(env: Environment) -> None:
    with pytest.raises(ConfigError, match="account of dev is unknown"):
        synth(replace(env, name="dev"))


def test_an_invalid_processor_is_reported_before_anything_is_built(env: Environment, tmp_path: Path) -> None:
    processors = tmp_path / "processors.py"
    processors.write_text("def handle(:\n")
    with pytest.raises(ConfigError, match=r"processors\.py:1: "):
        synth(replace(env, root=tmp_path, processors=processors))
    assert not (tmp_path / ".rtp" / "cdk").exists()


def test_a_failed_synthesis_reports_the_first_cause(env: Environment, tmp_path: Path) -> None:
    # Given: a name that the CDK refuses.
    with pytest.raises(RtpError) as failed:
        synth(replace(env, root=tmp_path, project="no_such_name", name="local"))

    # Then: the message is one line without jsii's traceback; the log has all of it.
    assert failed.value.message.startswith("The synthesis failed: ")
    assert "\n" not in failed.value.message
    assert "Traceback" not in failed.value.message
    assert "Traceback" in (tmp_path / ".rtp" / "cdk" / "local.log").read_text()
    assert str(tmp_path / ".rtp" / "cdk" / "local.log") in failed.value.hint
    assert not (tmp_path / ".rtp" / "cdk" / "local").exists()
    assert [p.name for p in (tmp_path / ".rtp" / "cdk").iterdir()] == ["local.log"]


def _fingerprint(env: Environment) -> str:
    return module._fingerprint(module._plan(env, env.root, None, None, force=False))
