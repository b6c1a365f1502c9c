"""The Lambda layer: what rtp.runtime needs and what the user's requirements name, for the platform that runs them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rtp.errors import ConfigError
from rtp.infra import archive, installed

PYTHON = "3.14"
"""The newest Python that Lambda has; the stack's runtime and the layer's wheels."""

_OWN = Path(__file__).with_name("layer-requirements.txt")
_PLATFORMS = {"arm64": "aarch64-manylinux2014", "x86_64": "x86_64-manylinux2014"}
_INCLUDE = re.compile(r"^\s*(?:-r|--requirement|-c|--constraint)[\s=]+(\S+)")
_UV_TIMEOUT_S = 600
_MOST_BYTES = 250 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Platform:
    """Where the layer's packages will run: arguments for uv that select their wheels."""

    name: str
    arguments: tuple[str, ...]
    local: bool = False

    @classmethod
    def aws(cls, architecture: str) -> Platform:
        """Lambda, for `arm64` or `x86_64`; wheels only, since a source build would be for this machine."""
        arguments = ("--python-version", PYTHON, "--python-platform", _PLATFORMS[architecture])
        return cls(f"lambda-{PYTHON}-{architecture}", (*arguments, "--only-binary", ":all:"))

    @classmethod
    def here(cls) -> Platform:
        """The interpreter that runs rtp, which is also the one that runs functions on the local engine."""
        return cls(f"{sys.implementation.cache_tag}-{sys.platform}", ("--python", sys.executable), local=True)


def build(folder: Path, platform: Platform, requirements: Path | None, *, anew: bool = False) -> Path:
    """The layer's zip, made once per platform and content of the requirements and then kept in folder.

    anew: resolve the user's requirements again, for what they leave open may have newer versions.
    """
    target = folder / f"layer-{fingerprint(platform, requirements)[:16]}.zip"
    if target.exists() and not (anew and requirements is not None):
        return target
    if platform.local and requirements is None and (ours := installed.files(_OWN.read_text())) is not None:
        return archive.keep(target, [(f"python/{path}", file) for path, file in ours])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".resolve-") as scratch:
        packages = Path(scratch, "python")
        _install(packages, platform, _OWN)
        if requirements is not None:
            _install(packages, platform, _lock(Path(scratch, "lock.txt"), platform, requirements))
        for leftover in (".lock", "bin", "CACHEDIR.TAG", ".gitignore"):
            found = packages / leftover
            shutil.rmtree(found) if found.is_dir() else found.unlink(missing_ok=True)
        _check(packages, requirements, platform)
        return archive.keep(target, archive.tree(packages, "python/"))


def fingerprint(platform: Platform, requirements: Path | None) -> str:
    """Changes when the platform or any of the requirements' text does."""
    return archive.digest([platform.name, *platform.arguments, *_texts(_OWN, []), *_texts(requirements, [])])


def _check(packages: Path, requirements: Path | None, platform: Platform) -> None:
    """Refuse what Lambda would refuse, or what would get in the way of the code asset."""
    if (packages / "rtp").exists():
        raise ConfigError(
            f"{requirements} brings rtp itself, which every function has already.",
            hint="Take rtp out of the functions' requirements.",
            code="requirements",
        )
    size = sum(file.stat().st_size for _, file in archive.tree(packages))
    if size > _MOST_BYTES and not platform.local:
        raise ConfigError(
            f"The layer has {size / 1e6:.0f} MB unpacked; Lambda takes {_MOST_BYTES / 1e6:.0f} MB with the code.",
            hint=f"Take what the functions do not need out of {requirements}.",
            code="requirements",
        )


def _lock(target: Path, platform: Platform, requirements: Path) -> Path:
    """Resolve the user's requirements with hashes, held to the versions rtp itself ships."""
    try:
        _uv(
            "pip",
            "compile",
            "--quiet",
            "--generate-hashes",
            "--no-header",
            "--no-annotate",
            *platform.arguments,
            "--constraint",
            str(_OWN),
            "--output-file",
            str(target),
            str(requirements),
        )
    except _UvError as error:
        raise ConfigError(
            f"{requirements} does not resolve for {platform.name}: {error.cause}.",
            hint="Fix the requirement; nothing was deployed.",
            code="requirements",
        ) from error
    return target


def _install(target: Path, platform: Platform, requirements: Path) -> None:
    if not any(line.strip() and not line.lstrip().startswith("#") for line in requirements.read_text().splitlines()):
        return
    try:
        _uv(
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--no-compile-bytecode",
            "--link-mode",
            "copy",
            "--target",
            str(target),
            *platform.arguments,
            "--requirement",
            str(requirements),
        )
    except _UvError as error:
        raise ConfigError(
            f"The layer for {platform.name} cannot be built: {error.cause}.",
            hint="Check the network and the package index that uv is set to use.",
            code="layer",
        ) from error


class _UvError(Exception):
    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


def _uv(*arguments: str) -> None:
    from uv import find_uv_bin

    argv = [find_uv_bin(), *arguments, "--no-progress", "--color", "never"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_UV_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise _UvError(f"no answer within {_UV_TIMEOUT_S} s") from None
    if done.returncode:
        raise _UvError(_first_cause(done.stderr))


def _first_cause(stderr: str) -> str:
    """The sentence that says why, out of uv's explanation."""
    lines = [line.strip(" ╰─▶├│^\t") for line in stderr.splitlines()]
    text = " ".join(line for line in lines if line and not line.startswith(("hint:", "warning:", "Resolved ")))
    because = text.find("Because ")
    text = text[because:] if because >= 0 else text.removeprefix("error: ").replace(" cause: ", ": ")
    return text.rstrip(".") or "uv gave no reason"


def _texts(file: Path | None, seen: list[Path]) -> list[bytes]:
    """A requirements file and those it includes, in order."""
    if file is None or file in seen:
        return []
    seen.append(file)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"The requirements {file} cannot be read: {error.strerror}.",
            hint="Fix `requirements` under [processors] in rtp.toml.",
            code="requirements",
        ) from error
    found = [data]
    for line in data.decode(errors="replace").splitlines():
        if include := _INCLUDE.match(line):
            found += _texts(file.parent / include[1], seen)
    return found
