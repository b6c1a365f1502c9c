"""Check what rtp is made of: `make audit`. Exits with 1 where something is wrong, and says what could not be checked.

- licences: each pinned package declares one, and none that would bind rtp's users;
- known vulnerabilities, by pip-audit and the services that it asks;
- pins against the newest versions that pyproject.toml allows;
- the CDK CLI against AWS's own package, file by file.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checks import cdk, sbom
from rtp.errors import RtpError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TIMEOUT_S = 600
_BINDING = re.compile(r"\bA?GPL|General Public License|SSPL|BUSL|Commons Clause|Proprietary", re.IGNORECASE)
_LESSER = re.compile(r"\bLGPL|Lesser General Public", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Result:
    """One check. wrong: what must be fixed. remarks: what to know, such as why it could not be made."""

    name: str
    wrong: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def licences(declared: dict[str, str | None] | None = None) -> Result:
    """Each package has a licence, and none is one that binds those who use rtp."""
    if declared is None:
        declared = {name: sbom.licence(name) for name, _ in sbom.pinned()}
    wrong = [f"{name}: {text}" for name, text in declared.items() if text and _BINDING.search(_LESSER.sub("", text))]
    unknown = sorted(name for name, text in declared.items() if not text)
    remark = f"not known, for they are not installed here or declare none: {', '.join(unknown)}"
    return Result("licences", tuple(wrong), (remark,) if unknown else ())


def vulnerabilities(auditor: Sequence[str]) -> Result:
    """What pip-audit knows of the pinned versions. auditor: the command that starts it."""
    argv = [*auditor, "--format", "json", "--progress-spinner", "off", "--disable-pip", "--require-hashes"]
    argv += ["--requirement", str(sbom.PINS)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        packages = json.loads(done.stdout)["dependencies"]
    except (OSError, subprocess.TimeoutExpired) as error:
        return Result("vulnerabilities", remarks=(f"NOT CHECKED: {error}",))
    except (ValueError, KeyError, TypeError):
        last = ([line for line in done.stderr.splitlines() if line.strip()] or ["no output"])[-1]
        return Result("vulnerabilities", remarks=(f"NOT CHECKED: its service cannot be reached: {last[:300]}",))
    wrong = [
        f"{package['name']} {package.get('version')}: {each['id']}, fixed in {each['fix_versions'] or 'none'}"
        for package in packages
        for each in package.get("vulns", ())
    ]
    return Result("vulnerabilities", tuple(wrong), tuple(_not_audited(packages)))


def _not_audited(packages: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each reason for which packages were skipped, with their number and names."""
    names: dict[str, list[str]] = {}
    for package in packages:
        if reason := package.get("skip_reason"):
            general = re.sub(rf":? {re.escape(package['name'])} \(.*?\)", "", str(reason))
            names.setdefault(general, []).append(str(package["name"]))
    return [
        f"NOT CHECKED: {len(each)} of {len(packages)} packages: {reason}: {', '.join(sorted(each))}"
        for reason, each in names.items()
    ]


def newest(uv: Sequence[str]) -> Result:
    """Pins older than the newest version that pyproject.toml allows: a remark. uv: the command that starts it."""
    with tempfile.TemporaryDirectory(prefix="rtp-audit-") as folder:
        out = Path(folder, "newest.txt")
        argv = [*uv, "pip", "compile", "-q", "--upgrade", "pyproject.toml", "--extra", "local", "--universal"]
        argv += ["--python-version", "3.11", "--no-header", "-o", str(out)]
        try:
            subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True, cwd=sbom.ROOT)
        except (OSError, subprocess.SubprocessError) as error:
            reason = str(getattr(error, "stderr", "") or error).strip().splitlines()[-1:]
            return Result("newest", remarks=(f"NOT CHECKED: {' '.join(reason)[:300]}",))
        now = dict(sbom.pinned(out))
    pins = dict(sbom.pinned())
    older = sorted(f"{name} {version}" for name, version in pins.keys() - now.keys())
    newer = sorted(f"{name} {version}" for name, version in now.keys() - pins.keys())
    return Result(
        "newest", remarks=(f"pinned {', '.join(older)}; newest {', '.join(newer)}",) if older or newer else ()
    )


def cdk_cli() -> Result:
    """The CDK CLI is AWS's own."""
    try:
        return Result("CDK CLI", ("its pins are not those of the official package",) if cdk.main([]) else ())
    except RtpError as error:
        return Result("CDK CLI", (error.message,))
    except OSError as error:
        return Result("CDK CLI", remarks=(f"NOT CHECKED against the registry: {str(error).splitlines()[0][:300]}",))


def main(argv: Sequence[str] | None = None) -> int:
    """Print each check; 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m checks.audit", description=__doc__)
    parser.add_argument("--pip-audit", default="pip-audit", help="the program; default: pip-audit")
    parser.add_argument("--uv", default="uv", help="the program; default: uv")
    options = parser.parse_args(argv)
    checks: tuple[Callable[[], Result], ...] = (
        licences,
        lambda: vulnerabilities([options.pip_audit]),
        lambda: newest([options.uv]),
        cdk_cli,
    )
    has_failed = False
    for check in checks:
        result = check()
        has_failed |= bool(result.wrong)
        sys.stdout.write(f"{result.name}: {'WRONG' if result.wrong else 'ok' if not result.remarks else 'see below'}\n")
        sys.stdout.write("".join(f"  {line}\n" for line in (*result.wrong, *result.remarks)))
        sys.stdout.flush()
    return int(has_failed)


if __name__ == "__main__":
    sys.exit(main())
