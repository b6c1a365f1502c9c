"""Only AWS's own CDK CLI runs: each of its files has the digest of the official package."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from checks import cdk
from rtp.errors import ConfigError
from rtp.infra import cdk_cli, toolchain


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small package with pins of its own."""
    folder = tmp_path / "node_modules" / "aws-cdk"
    (folder / "bin").mkdir(parents=True)
    (folder / "lib").mkdir()
    (folder / "bin" / "cdk").write_text("require('../lib')")
    (folder / "lib" / "index.js").write_text("console.log('cdk')")
    rows = [f"{cdk_cli.digest_of(folder / n)}  {n}\n" for n in ("bin/cdk", "lib/index.js")]
    (tmp_path / "pins").write_text("".join(rows))
    return folder


def check(package: Path) -> None:
    root = package.parents[1]
    cdk_cli.check(package, pins=root / "pins", memo=root / "memo")


def test_the_installed_cdk_cli_is_that_of_the_official_package(tmp_path: Path) -> None:
    version, folder = cdk.installed()
    assert len(cdk_cli.pinned()) > 300
    assert "lib/index.js" in cdk_cli.pinned()
    cdk_cli.check(folder, memo=tmp_path / "memo")
    assert toolchain.cdk()[-1] == str(folder / "bin" / "cdk")
    assert version in (Path(__file__).parents[2] / "pyproject.toml").read_text()


@pytest.mark.network
def test_the_pins_are_those_of_the_package_that_the_registry_has() -> None:
    assert cdk.main([]) == 0


def test_a_changed_file_is_named_and_nothing_runs(package: Path) -> None:
    check(package)
    (package / "lib" / "index.js").write_text("steal()")
    with pytest.raises(ConfigError, match=r"lib/index\.js has another content; nothing was run") as error:
        check(package)
    assert error.value.code == "toolchain"
    assert "Install rtp again" in error.value.hint


def test_a_change_with_the_old_size_and_time_is_found(package: Path) -> None:
    file = package / "lib" / "index.js"
    before = file.stat()
    check(package)
    file.write_text("console.log('evi')")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    with pytest.raises(ConfigError, match="another content"):
        check(package)


@pytest.mark.parametrize("name", ["lib/extra.js", "node_modules/fsevents/index.js", "bin/node_modules/x.js"])
def test_an_added_file_that_node_could_load_is_found(package: Path, name: str) -> None:
    check(package)
    (package / name).parent.mkdir(parents=True, exist_ok=True)
    (package / name).write_text("steal()")
    with pytest.raises(ConfigError, match="is no part of it"):
        check(package)


def test_a_package_beside_it_is_found(package: Path) -> None:
    check(package)
    (package.parent / "fsevents").mkdir()
    with pytest.raises(ConfigError, match="fsevents is no part of it"):
        check(package)


def test_a_missing_file_and_a_link_are_found(package: Path, tmp_path: Path) -> None:
    check(package)
    (package / "lib" / "index.js").rename(tmp_path / "elsewhere.js")
    with pytest.raises(ConfigError, match="is missing"):
        check(package)
    (package / "lib" / "index.js").symlink_to(tmp_path / "elsewhere.js")
    with pytest.raises(ConfigError, match="another content"):
        check(package)


def test_what_is_unchanged_is_not_read_again(package: Path) -> None:
    # Given pins that the files no longer meet, but a memo of the same files and pins
    check(package)
    memo = package.parents[1] / "memo"
    state = memo.read_text()
    check(package)
    assert memo.read_text() == state
    # Then a memo of other files does not count
    copy = package.parents[1] / "copy" / "node_modules" / "aws-cdk"
    shutil.copytree(package, copy)
    (copy / "bin" / "cdk").write_text("steal()")
    with pytest.raises(ConfigError, match="another content"):
        cdk_cli.check(copy, pins=package.parents[1] / "pins", memo=memo)


def test_compiled_templates_and_an_unwritable_memo_do_no_harm(package: Path) -> None:
    (package / "lib" / "__pycache__").mkdir()
    (package / "lib" / "__pycache__" / "x.pyc").write_bytes(b"")
    (package / "metadata.json").write_text("{}")
    cdk_cli.check(package, pins=package.parents[1] / "pins", memo=Path("/proc/no/memo"))
