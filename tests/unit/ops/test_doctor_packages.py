"""doctor says when the pin of the local engine holds back a boto3 that others in the environment need."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from rtp.ops import doctor_packages
from rtp.ops.doctor import Verdict

if TYPE_CHECKING:
    from pathlib import Path

OWN = {
    "realtime-processor": ["boto3<2,>=1.43", "botocore<2,>=1.43"],
    "ministack": ["botocore==1.43.106", 'boto3>=1.34; extra == "test"'],
    "boto3": ["botocore<1.44,>=1.43"],
    "aws-xray-sdk": ["botocore>=1.11"],
}


def installed(folder: Path, packages: dict[str, list[str]]) -> list[metadata.Distribution]:
    for name, requires in packages.items():
        info = folder / f"{name.replace('-', '_')}-1.dist-info"
        info.mkdir(parents=True)
        rows = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1", *(f"Requires-Dist: {r}" for r in requires)]
        (info / "METADATA").write_text("\n".join(rows))
    return list(metadata.distributions(path=[str(folder)]))


def test_an_environment_of_its_own_is_in_order(tmp_path: Path) -> None:
    check = doctor_packages.pins(installed(tmp_path, OWN))
    assert check.verdict is Verdict.OK
    assert "1.43.106" in check.detail


def test_what_is_held_back_is_named(tmp_path: Path) -> None:
    others = {"awscli_local": ["boto3"], "Data.Tool": ["botocore>=1.50"], "plain": ["requests"]}
    check = doctor_packages.pins(installed(tmp_path, {**OWN, **others}))
    assert check.verdict is Verdict.WARN
    assert "awscli-local, data-tool in" in check.detail
    assert "botocore 1.43.106" in check.detail
    assert "pipx" in check.fix and "uv" in check.fix


def test_without_the_engine_nothing_is_pinned(tmp_path: Path) -> None:
    packages = {name: requires for name, requires in OWN.items() if name != "ministack"} | {"other": ["boto3"]}
    assert doctor_packages.pins(installed(tmp_path, packages)).verdict is Verdict.OK
