"""The Lambda layer: the packages of rtp.runtime and of the user's requirements, for the platform that runs them."""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
import tempfile
import threading
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rtp.errors import ConfigError
from rtp.infra import archive, installed, uv
from rtp.infra.requirements import has_any, normalised
from rtp.trust import private, project

if TYPE_CHECKING:
    from rtp.config import Environment
    from rtp.infra.requirements import Requirements

PYTHON = "3.14"
"""Newest Python of Lambda: of the functions, and of the layer's wheels."""

_OWN = Path(__file__).with_name("layer-requirements.txt")
# Amazon Linux 2023, on which Python 3.12 and newer run, has glibc 2.34.
_PLATFORMS = {"arm64": "aarch64-manylinux_2_34", "x86_64": "x86_64-manylinux_2_34"}
_INSTALL = ("pip", "install", "--quiet", "--no-deps", "--no-compile-bytecode", "--link-mode", "copy")
# Building a source distribution would run its code here, with the operator's whole environment.
_WHEELS = ("--only-binary", ":all:")
# Packages of Lambda's Python runtimes, available without a layer.
_OF_LAMBDA = ("boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3")
_DISTRIBUTION = re.compile(r"python/([^/]+?)-([^/-]+)\.dist-info/METADATA")
_building = threading.Lock()
_DEPTH = 100  # of the folders of unpacked packages
MAX_BYTES = 250 * 1024 * 1024
"""What Lambda takes of code and layers together, unpacked."""


@dataclass(frozen=True, slots=True)
class Platform:
    """The platform that the layer's packages run on. arguments: for uv, to select the wheels."""

    name: str
    arguments: tuple[str, ...]
    local: bool = False

    @classmethod
    def aws(cls, architecture: str) -> Platform:
        """Lambda, for `arm64` or `x86_64`."""
        arguments = ("--python-version", PYTHON, "--python-platform", _PLATFORMS[architecture])
        return cls(f"lambda-{PYTHON}-{architecture}", (*arguments, *_WHEELS))

    @classmethod
    def here(cls) -> Platform:
        """The interpreter that runs rtp, which also runs the functions on the local engine."""
        return cls(f"{sys.implementation.cache_tag}-{sys.platform}", ("--python", sys.executable, *_WHEELS), local=True)


def platform_of(environment: Environment) -> Platform:
    """The platform of an environment's functions."""
    return Platform.here() if environment.embedded else Platform.aws(environment.settings.architecture)


def build(folder: Path, platform: Platform, requirements: Requirements | None, *, refresh: bool = False) -> Path:
    """The layer's zip, built once per platform and contents of the requirements, and then cached in a folder.

    refresh: resolve the user's requirements again, because packages without a pinned version may have newer ones.
    Threads that want the same layer wait for the first of them.
    """
    if platform.local and requirements is not None and _is_satisfied_here(requirements):
        requirements = None  # the functions of the local engine run in this interpreter
    with _building:
        return _build(folder, platform, requirements, refresh=refresh)


def _build(folder: Path, platform: Platform, requirements: Requirements | None, *, refresh: bool) -> Path:
    target = folder / f"layer-{fingerprint(platform, requirements)[:16]}.zip"
    if archive.is_intact(target) and not (refresh and requirements is not None):
        return target
    if platform.local and requirements is None and (ours := installed.files(_OWN.read_text())) is not None:
        return archive.keep(target, [(f"python/{path}", file) for path, file in ours])
    project.below(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".resolve-") as scratch:
        packages = Path(scratch, "python")
        _install_own(packages, platform)
        if requirements is not None:
            _install_users(packages, platform, requirements, Path(scratch))
        for leftover in (".lock", "bin", "CACHEDIR.TAG", ".gitignore"):
            path = packages / leftover
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        _check(packages, requirements)
        return archive.keep(target, archive.tree(packages, "python/"))


class Here(NamedTuple):
    """Where an interpreter on this machine finds the layer's packages.

    paths: folders of their own; allowed: top-level names that it takes from rtp's own site-packages.
    unbuilt: packages of Lambda's layer, as `name==version`, that have no build for this interpreter.
    """

    paths: tuple[Path, ...]
    allowed: frozenset[str]
    unbuilt: tuple[str, ...] = ()


def here(folder: Path, requirements: Requirements | None, lock: Path | None = None) -> Here:
    """The packages that a function has, for this interpreter. Raises ConfigError where they do not resolve.

    lock: the layer for Lambda, whose versions are taken as far as they have builds for this interpreter; None for the
    local engine, which takes what is installed.
    """
    if requirements is None:
        return Here((), provided())
    if lock is not None:
        requirements = replace(requirements, pins=_pins(lock))
    unbuilt: tuple[str, ...] = ()
    while not _is_satisfied_here(requirements):
        try:
            return Here((_unpacked(build(folder, Platform.here(), requirements)),), provided(), unbuilt)
        except ConfigError as error:
            lacking = tuple(pin for pin in requirements.pins if _blames(error.message, pin))
            if not lacking:
                raise
        unbuilt += lacking
        requirements = requirements.leaving_out(lacking)
    return Here((), provided() | installed.top_levels(requirements.names()), unbuilt)


def _unpacked(built: Path) -> Path:
    """The folder of a layer's packages, unpacked once."""
    project.below(built.parent)
    unpacked = built.with_suffix("")
    if not _is_own(unpacked):
        shutil.rmtree(unpacked, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(dir=built.parent, prefix=".unpack-"))
        with zipfile.ZipFile(built) as packed:
            packed.extractall(scratch)
        private.close(scratch)
        with contextlib.suppress(OSError):  # another process has unpacked it
            scratch.rename(unpacked)
    return unpacked / "python"


def _is_own(unpacked: Path) -> bool:
    """Whether unpacked packages are there, and no other user can have written them."""
    if not unpacked.is_dir() or private.doubt(unpacked):
        return False
    return all(private.is_writable(reason) for _, reason in private.doubts(unpacked, _DEPTH))


def _blames(cause: str, pin: str) -> bool:
    """Whether uv's explanation says of a pinned version that it has no build, or needs another Python."""
    name, _, version = pin.partition("==")
    named = rf"(?<![\w.-]){re.escape(normalised(name))}=={re.escape(version)}"
    wrong = (rf"{named} (depends on Python|has no (wheels|usable|source))", rf"there is no version of {named}")
    return any(re.search(pattern, cause) for pattern in wrong)


def provides(layer_zip: Path, module: str) -> bool:
    """Whether a layer has a module or package of this top-level name."""
    return any(name.partition(".")[0] == module for name in sizes(layer_zip))


def distributions(layer_zip: Path) -> list[tuple[str, str]]:
    """Name, as installed, and version of each distribution in a layer, sorted."""
    with zipfile.ZipFile(layer_zip) as packed:
        found = (_DISTRIBUTION.fullmatch(name) for name in packed.namelist())
        return sorted(((each[1], each[2]) for each in found if each), key=lambda one: one[0].lower())


def _pins(layer_zip: Path) -> tuple[str, ...]:
    """The user's packages in a layer, in the version that each has there."""
    own = set(installed.names(_OWN.read_text()))
    pairs = distributions(layer_zip)
    return tuple(f"{name}=={version}" for name, version in pairs if normalised(name) not in own)


def provided() -> frozenset[str]:
    """Top-level names that every function has: those of Lambda's runtime, and those that rtp.runtime needs."""
    return installed.top_levels((*_OF_LAMBDA, *installed.names(_OWN.read_text())))


def fingerprint(platform: Platform, requirements: Requirements | None) -> str:
    """A digest of the platform, and of the requirements with the files on this machine that they name."""
    contents = [] if requirements is None else [b"requirements", *requirements.contents()]
    return archive.digest([platform.name, *platform.arguments, _OWN.read_bytes(), *contents])


def sizes(layer_zip: Path) -> dict[str, int]:
    """Bytes of each package of a layer, unpacked, by its folder or module."""
    found: dict[str, int] = {}
    with zipfile.ZipFile(layer_zip) as packed:
        for info in packed.infolist():
            name = info.filename.removeprefix("python/").partition("/")[0]
            found[name] = found.get(name, 0) + info.file_size
    return found


def _is_satisfied_here(requirements: Requirements) -> bool:
    """Whether this interpreter has all the required packages already. Checked without the network."""
    if requirements.is_lock or requirements.is_uv_lock:
        return False
    try:
        with tempfile.TemporaryDirectory() as scratch:
            command = ("pip", "install", "--dry-run", "--offline", "--python", sys.executable, *_WHEELS)
            constraints = (*requirements.choices, *requirements.constraints(Path(scratch)))
            output = uv.run(
                *command, *constraints, "--requirement", str(requirements.file), cwd=requirements.file.parent
            )
    except uv.UvError:
        return False
    return "Would make no changes" in output


def _check(packages: Path, requirements: Requirements | None) -> None:
    """Raises ConfigError for packages that would hide the code asset."""
    if (packages / "rtp").exists():
        raise ConfigError(
            f"{requirements.file if requirements else _OWN} installs rtp itself, which every function has already.",
            hint="Remove realtime-processor from the functions' requirements.",
            code="requirements",
        )


def _install_own(target: Path, platform: Platform) -> None:
    """Install the packages of rtp.runtime, pinned and with hashes."""
    if not has_any(_OWN):
        return
    try:
        uv.run(*_INSTALL, "--require-hashes", "--target", str(target), *platform.arguments, "--requirement", str(_OWN))
    except uv.UvError as error:
        raise ConfigError(
            f"The layer for {platform.name} cannot be built: {error.cause}.",
            hint="Check the network and the package index that uv is set to use.",
            code="layer",
        ) from error


def _install_users(target: Path, platform: Platform, requirements: Requirements, scratch: Path) -> None:
    """Install the user's requirements, constrained to the versions that rtp ships."""
    try:
        resolved = requirements.export(scratch, platform.arguments, _OWN, pure=not platform.local)
        command = (*_INSTALL, "--target", str(target), *platform.arguments, "--requirement", str(resolved))
        uv.run(*command, cwd=requirements.file.parent)
    except uv.UvError as error:
        raise ConfigError(
            f"{requirements.file} does not resolve for {platform.name}: {error.cause}.",
            hint="Fix the requirement, or the index that uv is set to use; nothing was deployed.",
            code="requirements",
        ) from error
