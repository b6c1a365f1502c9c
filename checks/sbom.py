"""The software bill of materials of a release, as CycloneDX 1.6: `python -m checks.sbom FILE`.

Versions and digests are those of requirements/rtp.txt, licences those that the installed packages declare.
"""

from __future__ import annotations

import json
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtp import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[1]
PINS = ROOT / "requirements" / "rtp.txt"
_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_OURS = "pkg:pypi/realtime-processor"


def pinned(pins: Path = PINS) -> dict[tuple[str, str], list[str]]:
    """The SHA-256 digests of each pinned package, by name and version."""
    packages: dict[tuple[str, str], list[str]] = {}
    hashes: list[str] = []
    for line in pins.read_text(encoding="utf-8").splitlines():
        if pin := _PIN.match(line):
            hashes = packages.setdefault((pin["name"].lower(), pin["version"]), [])
        hashes += _HASH.findall(line)
    return packages


def licence(name: str) -> str | None:
    """The licence that an installed package declares: an SPDX expression, a classifier, or a name; None if unknown."""
    try:
        about: Any = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    if expression := about.get("License-Expression"):
        return str(expression)
    named = [c.rpartition("::")[2].strip() for c in about.get_all("Classifier") or () if c.startswith("License ::")]
    text = (about.get("License") or "").strip().splitlines()
    return " AND ".join(sorted(set(named) - {"OSI Approved"})) or (text[0][:80] if text else None)


def document(pins: Path = PINS) -> dict[str, Any]:
    """The bill of materials. The same pins make the same document."""
    ours = {"type": "application", "bom-ref": _OURS, "name": "realtime-processor", "version": __version__}
    ours |= {"purl": f"{_OURS}@{__version__}"}
    components = [_component(name, version, hashes) for (name, version), hashes in sorted(pinned(pins).items())]
    references = [component["bom-ref"] for component in components]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": ours},
        "components": components,
        "dependencies": [{"ref": _OURS, "dependsOn": references}, *({"ref": each} for each in references)],
    }


def _component(name: str, version: str, hashes: list[str]) -> dict[str, Any]:
    purl = f"pkg:pypi/{name}@{version}"
    component: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    if declared := licence(name):
        component["licenses"] = [{"license": {"name": declared}}]
    # One for each of the files of a package, of which an installer chooses one.
    files = [{"type": "distribution", "url": purl, "hashes": [{"alg": "SHA-256", "content": each}]} for each in hashes]
    return component | ({"externalReferences": files} if files else {})


def main(argv: Sequence[str] | None = None) -> int:
    """Write the document."""
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    file = Path(arguments[0])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document(), indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{file}: {len(pinned())} packages\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
