"""The wheel, installed into an empty environment, works for a user without a name, a home and rights."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from checks import install
from rtp.ops import manual

PACKAGES = Path(sysconfig.get_path("purelib"))


def over_these_packages(wheel: Path, python: Path, folder: Path) -> Path:
    """Install the wheel alone into an environment with the packages of this one. Returns the folder of its `rtp`."""
    env = folder / "env"
    subprocess.run([python, "-m", "venv", "--without-pip", env], check=True, timeout=120)
    uv = [sys.executable, "-m", "uv", "pip", "install", "-q", "--no-deps", "--compile-bytecode"]
    subprocess.run([*uv, "--python", env / "bin" / "python", wheel], check=True, timeout=120)
    (site,) = (env / "lib").glob("python*/site-packages")
    (site / "these.pth").write_text(f"{PACKAGES}\n")
    return env / "bin"


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.reliability)])
@pytest.mark.long
def test_the_wheel_works_for_an_ordinary_user(whole: bool) -> None:
    """whole: with its dependencies installed, too."""
    with install.open_folder() as folder:
        # Given the artifacts, which hold the package and nothing that is not theirs
        wheel, sdist = install.build(folder / "dist")
        with zipfile.ZipFile(wheel) as archive:
            metadata = f"{wheel.name.split('-py3')[0]}.dist-info"
            assert {name.split("/")[0] for name in archive.namelist()} == {"rtp", metadata}
            pages = {Path(name).stem for name in archive.namelist() if name.startswith("rtp/pages/")}
            assert pages == set(manual.PAGES)
        with tarfile.open(sdist) as archive_of_sources:
            names = {name.split("/")[1] for name in archive_of_sources.getnames()}
        assert {"rtp", "tests", "docs", "checks", "pyproject.toml", "LICENSE"} <= names
        assert not {".rtp", ".venv", "cdk.out"} & names
        # When it is installed for an interpreter that every user may run
        name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        everybodys = (Path(folder, name) for folder in ("/usr/bin", "/usr/local/bin"))
        python = next((path for path in everybodys if path.exists()), Path(sys.executable).resolve())
        if whole:
            bin_folder, needed = install.install(wheel, "uv", python, folder), [python]
        else:
            bin_folder, needed = over_these_packages(wheel, python, folder), [python, PACKAGES / "rtp"]
        # Then it makes, deploys, uses and destroys a project, for a user whom the machine does not know
        for each in ("user", "temporary"):
            (folder / each).mkdir()
        (folder / "temporary").chmod(0o1777)
        environ = {"HOME": "/nonexistent", "TMPDIR": str(folder / "temporary")}
        install.use(bin_folder, folder / "user", environ, uid=install.ordinary_uid(*needed))
