"""`make audit` and the bill of materials: what is wrong fails, and what cannot be checked is said."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

from checks import audit, sbom

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def program(folder: Path, text: str) -> list[str]:
    """A program in place of pip-audit."""
    file = folder / "auditor.py"
    file.write_text(text)
    return [sys.executable, str(file)]


def test_the_bill_lists_every_pin_with_its_digests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "dist" / "rtp.cdx.json"
    assert sbom.main([str(file)]) == 0
    bill = json.loads(file.read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    pins = sbom.PINS.read_text()
    named = {f"{each['name']}=={each['version']}" for each in bill["components"]}
    assert named == {match[0].lower() for match in re.finditer(r"^[\w.-]+==[^\s;]+", pins, re.MULTILINE)}
    digests = {
        digest["content"]
        for each in bill["components"]
        for reference in each["externalReferences"]
        for digest in reference["hashes"]
    }
    assert digests == set(re.findall("[0-9a-f]{64}", pins))
    boto3 = next(each for each in bill["components"] if each["name"] == "boto3")
    assert boto3["purl"].startswith("pkg:pypi/boto3@1.")
    assert "Apache" in boto3["licenses"][0]["license"]["name"]
    assert {each["ref"] for each in bill["dependencies"]} >= {each["bom-ref"] for each in bill["components"]}
    assert "packages" in capsys.readouterr().out


def test_the_licences_of_the_pinned_packages_bind_nobody() -> None:
    assert audit.licences().wrong == ()


def test_a_binding_licence_is_wrong_and_an_unknown_one_is_said() -> None:
    found = audit.licences(
        {"a": "MIT", "b": "GNU Affero General Public License v3", "c": "AGPL-3.0-only", "d": "LGPL-3.0", "e": None}
    )
    assert [each.split(":")[0] for each in found.wrong] == ["b", "c"]
    assert found.remarks[0].endswith(": e")


def test_a_known_vulnerability_is_wrong(tmp_path: Path) -> None:
    vulnerable = {"name": "x", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}
    text = json.dumps(
        {
            "dependencies": [
                vulnerable,
                {"name": "y", "skip_reason": "not found: y (2.0)"},
                {"name": "z", "skip_reason": "not found: z (1)"},
            ]
        }
    )
    found = audit.vulnerabilities(program(tmp_path, f"print({text!r}); raise SystemExit(1)"))
    assert "x 1: CVE-1" in found.wrong[0]
    assert found.remarks == ("NOT CHECKED: 2 of 3 packages: not found: y, z",)


def test_a_service_that_cannot_be_reached_is_said_and_is_no_success(tmp_path: Path) -> None:
    unreachable = program(tmp_path, "import sys; sys.exit('ConnectionError: no route')")
    for auditor in (unreachable, [str(tmp_path / "none")]):
        found = audit.vulnerabilities(auditor)
        assert found.wrong == ()
        assert found.remarks[0].startswith("NOT CHECKED")
    assert audit.newest([str(tmp_path / "none")]).remarks[0].startswith("NOT CHECKED")


def test_a_pin_that_is_older_than_the_newest_version_is_named(tmp_path: Path) -> None:
    pins = sbom.PINS.read_text()
    (old,) = re.findall(r"^boto3==(\S+)", pins, re.MULTILINE)
    (tmp_path / "newest.txt").write_text(pins.replace(f"boto3=={old}", "boto3==99.1.0"))
    compiler = program(tmp_path, f"import shutil, sys; shutil.copy({str(tmp_path / 'newest.txt')!r}, sys.argv[-1])")
    found = audit.newest(compiler)
    assert (found.wrong, found.remarks) == ((), (f"pinned boto3 {old}; newest boto3 99.1.0",))


def test_every_sdist_among_the_pins_is_built_with_pinned_packages() -> None:
    makefile = (sbom.ROOT / "Makefile").read_text()
    for line in makefile.replace("\\\n", " ").splitlines():
        if "pip sync" in line and "dev.txt" in line:
            assert "--build-constraints requirements/build.txt" in line
            assert "--require-hashes" in line
    pinned = sbom.pinned(sbom.ROOT / "requirements" / "build.txt")
    assert {name for name, _ in pinned} >= {"setuptools", "wheel", "build"}
    assert all(pinned.values())
