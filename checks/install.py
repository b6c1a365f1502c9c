"""Installs the wheel and the sdist into empty environments and uses rtp there: `python -m checks.install`.

It tries every supported Python that is present with pip, pipx and `uv tool install`, and names the absent ones.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[1]
VERSIONS = ("3.11", "3.12", "3.13")
INSTALLERS = ("pip", "pipx", "uv")
PINS = ROOT / "requirements" / "rtp.txt"
ORDINARY_UID = 61234
"""A user id without an account: rtp must work for a user without a name and a home."""
_INSTALL_S, _COMMAND_S = 1200, 300
EVENT = '{"type": "order.created", "data": {"order": "A-1", "total": 12.5}}'


class InstallError(Exception):
    """An artifact cannot be installed, or rtp fails in the environment."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that is installed on this machine. version: such as 3.12."""

    version: str
    path: Path


def build(folder: Path) -> list[Path]:
    """The wheel and the sdist, built into a folder."""
    argv = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, timeout=_COMMAND_S)
    return [*folder.glob("*.whl"), *folder.glob("*.tar.gz")]


def interpreter(version: str) -> Interpreter | None:
    """The interpreter of a version on PATH or of pyenv; None if there is none that runs."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    paths = [Path(folder, f"python{version}") for folder in os.get_exec_path()]
    paths += sorted(versions.glob(f"{version}.*/bin/python{version}"), reverse=True)
    for path in paths:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            argv = [str(path), "-c", "import venv, sys; print('%d.%d' % sys.version_info[:2])"]
            done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
            if done.stdout.strip() == version:
                return Interpreter(version, path)
    return None


def install(artifact: Path, installer: str, python: Path, folder: Path) -> Path:
    """Install an artifact with the extra `local` into an empty environment; returns the folder of its `rtp`.

    Raises InstallError.
    """
    requirement = f"realtime-processor[local] @ {artifact.as_uri()}"
    pins = folder / "pins.txt"
    pins.write_text(_versions(PINS.read_text()))
    environ = os.environ | {"PIP_CONSTRAINT": str(pins), "UV_CONSTRAINT": str(pins)}
    environ |= {"UV_TOOL_DIR": str(folder / "tools"), "UV_TOOL_BIN_DIR": str(folder / "bin")}
    environ |= {"PIPX_HOME": str(folder / "pipx"), "PIPX_BIN_DIR": str(folder / "bin"), "UV_LINK_MODE": "copy"}
    if installer == "pip":
        _run([str(python), "-m", "venv", str(folder / "env")], environ)
        argv = [str(folder / "env" / "bin" / "python"), "-m", "pip", "install", "-q", requirement]
    elif installer == "uv":
        argv = [_uv(), "tool", "install", "-q", "--python", str(python), requirement]
    else:
        argv = [*_pipx(), "install", "-q", "--python", str(python), requirement]
    _run(argv, environ)
    return folder / ("env" if installer == "pip" else "") / "bin"


def _versions(pins: str) -> str:
    """Pins without their hashes, with which pip would want one for the artifact itself too."""
    lines = (line.removesuffix("\\").rstrip() for line in pins.splitlines())
    return "".join(f"{line}\n" for line in lines if not line.lstrip().startswith(("--hash", "#")))


def use(
    bin_folder: Path,
    folder: Path,
    environ: dict[str, str] | None = None,
    *,
    uid: int | None = None,
    demo: bool = False,
) -> None:
    """Make, deploy, use and destroy a project with an installed rtp. Raises InstallError.

    folder: an empty folder, which becomes the user's. uid: run as this user, which needs root. demo: run that too.
    """
    (folder / "shop").mkdir()
    (folder / "event.json").write_text(EVENT)
    if uid is not None:
        for path in (folder, folder / "shop", folder / "event.json"):
            os.chown(path, uid, uid)
    prefix = [] if uid is None else ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    child = {"PATH": f"{bin_folder}{os.pathsep}{os.defpath}", "LANG": "C.UTF-8", "NO_COLOR": "1", **(environ or {})}
    steps = (
        ("--version",),
        ("docs", "tutorial"),
        ("init",),
        ("deploy", "--yes"),
        ("send", str(folder / "event.json"), "--wait"),
        ("doctor",),
        ("destroy", "--yes"),
    )
    try:
        for words in (*steps, ("demo",)) if demo else steps:
            _run([*prefix, str(bin_folder / "rtp"), *words], child, folder / "shop")
    finally:
        with contextlib.suppress(InstallError):
            _run([*prefix, str(bin_folder / "rtp"), "local", "stop"], child, folder / "shop")


def ordinary_uid(*needed: Path) -> int | None:
    """A user id without rights for a process of root's; None where there is none, or a needed path is closed to it."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        return None
    for path in needed:
        if any(not each.stat().st_mode & 0o001 for each in path.resolve().parents):
            return None
    return ORDINARY_UID


def _run(argv: Sequence[str], environ: dict[str, str], cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(
            argv,
            env=environ,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_INSTALL_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(f"{' '.join(argv)}: {error}") from None
    # The demo shows the traceback of its processor.
    if done.returncode or ("Traceback" in done.stdout and argv[-1] != "demo"):
        raise InstallError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout[-4000:]}")


def _uv() -> str:
    from uv import find_uv_bin

    return str(find_uv_bin())


def _pipx() -> list[str]:
    """Pipx of PATH, else as uv runs it from the index."""
    present = shutil.which("pipx")
    return [present] if present else [_uv(), "tool", "run", "pipx"]


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that every user may enter, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="rtp-install-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line for each combination; 1 if one fails."""
    parser = argparse.ArgumentParser(prog="python -m checks.install", description=__doc__)
    parser.add_argument("--dist", type=Path, help="folder for the wheel and the sdist; default: a temporary one")
    parser.add_argument("--python", action="append", choices=VERSIONS, help="only this version; repeatable")
    parser.add_argument("--installer", action="append", choices=INSTALLERS, help="only this one; repeatable")
    parser.add_argument("--twine", metavar="PROGRAM", help="check the artifacts by this twine first")
    options = parser.parse_args(argv)
    has_failed = False
    with open_folder() as base:
        artifacts = build(options.dist or base / "dist")
        if options.twine:
            has_failed = not _accepted(options.twine, artifacts)
        for version in options.python or VERSIONS:
            python = interpreter(version)
            if python is None:
                sys.stdout.write(f"{version}  not checked: there is no python{version} on this machine\n")
                continue
            for artifact in artifacts:
                for installer in options.installer or INSTALLERS:
                    has_failed |= not _checked(python, artifact, installer, base)
    return int(has_failed)


def _accepted(twine: str, artifacts: Sequence[Path]) -> bool:
    """Whether twine finds nothing that an index would refuse in the artifacts' metadata and description."""
    argv = [twine, "check", "--strict", *map(str, artifacts)]
    return subprocess.run(argv, check=False, timeout=_COMMAND_S).returncode == 0


def _checked(python: Interpreter, artifact: Path, installer: str, base: Path) -> bool:
    kind = "wheel" if artifact.suffix == ".whl" else "sdist"
    folder = Path(tempfile.mkdtemp(dir=base))
    folder.chmod(0o755)
    (folder / "user").mkdir()
    uid = ordinary_uid(python.path)
    row = {"python": python.version, "artifact": kind, "installer": installer, "user": "ordinary" if uid else "this"}
    began = time.monotonic()
    try:
        bin_folder = install(artifact, installer, python.path, folder)
        use(bin_folder, folder / "user", {"HOME": str(folder / "user")}, uid=uid, demo=installer == "pip")
        error = ""
    except InstallError as failure:
        error = str(failure)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(json.dumps({**row, "ok": not error, "seconds": round(time.monotonic() - began)}) + "\n")
    if error:
        sys.stdout.write(f"{error}\n")
    sys.stdout.flush()
    return not error


if __name__ == "__main__":
    sys.exit(main())
