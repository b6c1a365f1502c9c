"""The code asset: what is in it, that its bytes follow its contents alone, and what is refused before a deploy."""

from __future__ import annotations

import os
import zipfile
from typing import TYPE_CHECKING

import pytest

from rtp.errors import ConfigError, ExitCode
from rtp.infra import archive, assets
from rtp.infra.packing import Sources
from rtp.runtime import wire

if TYPE_CHECKING:
    from pathlib import Path


def sources(path: Path) -> Sources:
    return Sources(path, path.parent)


def packed(folder: Path, path: Path) -> Path:
    return assets.code(folder, assets.entries(assets.check(sources(path))))


def test_the_asset_holds_the_runtime_the_version_and_the_processors(tmp_path: Path) -> None:
    # Given: a processors file.
    processors = tmp_path / "orders.py"
    processors.write_text("x = 1\n")

    # When: the asset is built.
    names = set(zipfile.ZipFile(packed(tmp_path / "out", processors)).namelist())

    # Then: it has no other part of rtp.
    assert {"rtp/__init__.py", "rtp/runtime/api.py", "rtp/runtime/worker.py", "orders.py"} <= names
    assert {name.split("/")[1] for name in names if name.startswith("rtp/")} == {"__init__.py", "release", "runtime"}
    assert assets.module(sources(processors)) == "orders"


def test_a_package_of_processors_is_packed_without_caches(tmp_path: Path) -> None:
    package = tmp_path / "shop"
    (package / "inner" / "__pycache__").mkdir(parents=True)
    for file in ("__init__.py", "inner/rules.py", "inner/rates.json", "inner/__pycache__/rules.pyc"):
        (package / file).write_text("")

    names = {name for name in zipfile.ZipFile(packed(tmp_path / "out", package)).namelist() if "shop" in name}

    assert names == {"shop/__init__.py", "shop/inner/rules.py", "shop/inner/rates.json"}
    assert assets.module(sources(package)) == "shop"


def test_the_same_sources_give_the_same_asset(tmp_path: Path) -> None:
    # Given: the same text, written at another time.
    built = []
    for name, when in (("a", 1_000_000_000), ("b", 1_700_000_000)):
        file = tmp_path / name / "processors.py"
        file.parent.mkdir()
        file.write_text("x = 1\n")
        os.utime(file, (when, when))
        built.append(packed(tmp_path / f"out-{name}", file))

    # Then: name and bytes are equal, and change with the text.
    assert built[0].name == built[1].name
    assert built[0].read_bytes() == built[1].read_bytes()
    (tmp_path / "a" / "processors.py").write_text("x = 2\n")
    assert packed(tmp_path / "out-a", tmp_path / "a" / "processors.py").name != built[0].name


def test_old_assets_are_deleted(tmp_path: Path) -> None:
    file = tmp_path / "processors.py"
    for number in range(14):
        file.write_text(f"x = {number}\n")
        newest = packed(tmp_path / "out", file)
    remaining = list((tmp_path / "out").glob("*.zip"))
    assert len(remaining) == len(list((tmp_path / "out").glob("*.sha256"))) == 10
    assert newest in remaining


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        archive.write(tmp_path / "a.zip", [("a", tmp_path / "missing")])
    assert list(tmp_path.iterdir()) == []


def test_the_digest_separates_the_parts() -> None:
    assert archive.digest(["ab", "c"]) != archive.digest(["a", "bc"])


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("processors.py", "def broken(:\n", "processors.py:1"),
        ("processors.py", "x = 1\n  y = 2\n", "processors.py:2"),
        ("processors.py", "x = '\0'\n", "processors.py:1"),
        ("processors.txt", "", "not a Python file"),
        ("my-processors.py", "", "cannot be imported as 'my-processors'"),
        ("boto3.py", "", "cannot be imported as 'boto3'"),
        ("class.py", "", "cannot be imported as 'class'"),
        ("queue.py", "", "cannot be imported as 'queue'"),
    ],
)
def test_processors_that_could_not_be_imported_are_refused(tmp_path: Path, name: str, text: str, expected: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=r"\w") as refused:
        assets.check(sources(tmp_path / name))
    assert expected in refused.value.message
    assert refused.value.hint
    assert refused.value.exit_code == ExitCode.CONFIG


def test_missing_processors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="do not exist"):
        assets.check(sources(tmp_path / "processors.py"))
    (tmp_path / "shop").mkdir()
    with pytest.raises(ConfigError, match="has no Python module"):
        assets.check(sources(tmp_path / "shop"))


def test_a_syntax_error_deep_in_a_package_is_reported(tmp_path: Path) -> None:
    (tmp_path / "shop" / "inner").mkdir(parents=True)
    (tmp_path / "shop" / "__init__.py").write_text("")
    (tmp_path / "shop" / "inner" / "rules.py").write_text("import\n")
    with pytest.raises(ConfigError, match=r"rules\.py:1"):
        assets.check(sources(tmp_path / "shop"))


def test_processors_are_optional(tmp_path: Path) -> None:
    assets.check(None)
    assert assets.module(None) == ""
    assert assets.code(tmp_path, assets.entries(assets.check(None))).exists()


def test_a_release_is_a_file_in_the_zip_and_changes_with_code_and_shape_alone(tmp_path: Path) -> None:
    processors = tmp_path / "orders.py"
    processors.write_text("x = 1\n")

    def zipped(shape: str, folder: str = "out") -> Path:
        return assets.code(tmp_path / folder, assets.entries(assets.check(sources(processors))), shape)

    first = zipped("layer 1")
    written = zipfile.ZipFile(first).read(wire.RELEASE_FILE).decode()
    assert written == assets.release(first)
    assert len(written) == wire.RELEASE_LENGTH
    assert zipped("layer 1", "other").read_bytes() == first.read_bytes()
    assert assets.release(zipped("layer 2")) != written
    processors.write_text("x = 2\n")
    assert assets.release(zipped("layer 1")) != written
