"""The wheel, installed into an empty environment, works for a user without a name, a home and rights."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

from checks import install


def test_the_wheel_works_for_an_ordinary_user() -> None:
    with install.open_folder() as folder:
        # Given the artifacts, which hold the package and nothing that is not theirs
        wheel, sdist = install.build(folder / "dist")
        with zipfile.ZipFile(wheel) as archive:
            metadata = f"{wheel.name.split('-py3')[0]}.dist-info"
            assert {name.split("/")[0] for name in archive.namelist()} == {"rtp", metadata}
        with tarfile.open(sdist) as archive_of_sources:
            names = {name.split("/")[1] for name in archive_of_sources.getnames()}
        assert {"rtp", "tests", "docs", "checks", "pyproject.toml", "LICENSE"} <= names
        assert not {".rtp", ".venv", "cdk.out"} & names
        # When it is installed for an interpreter that every user may run
        name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        everybodys = (Path(folder, name) for folder in ("/usr/bin", "/usr/local/bin"))
        python = next((path for path in everybodys if path.exists()), Path(sys.executable).resolve())
        bin_folder = install.install(wheel, "uv", python, folder)
        # Then it makes, deploys, uses and destroys a project, for a user whom the machine does not know
        (folder / "user").mkdir()
        install.use(bin_folder, folder / "user", {"HOME": "/nonexistent"}, uid=install.ordinary_uid(python))
