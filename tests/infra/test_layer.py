"""The layer: packages that Lambda does not have, resolved once per platform; errors are one sentence."""

from __future__ import annotations

import io
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from rtp.errors import ConfigError
from rtp.infra import installed, layer
from rtp.infra.requirements import Requirements
from rtp.ops.stack.build import contents

if TYPE_CHECKING:
    from pathlib import Path

HERE = layer.Platform.here()
PKG_INFO = "Metadata-Version: 2.1\nName: rtp-made-up\nVersion: 1.0\n"  # says nothing of what it requires


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep uv off the network."""
    monkeypatch.setenv("UV_OFFLINE", "1")


def test_the_local_layer_needs_no_network(tmp_path: Path) -> None:
    # When: it is built from the installed packages.
    built = layer.build(tmp_path, HERE, None)

    # Then: it has the runtime's packages below python/, and none that Lambda has.
    tops = {name.split("/")[1] for name in zipfile.ZipFile(built).namelist()}
    assert {"aws_xray_sdk", "wrapt"} <= tops
    assert not tops & {"boto3", "botocore", "bin"}
    assert all(name.startswith("python/") for name in zipfile.ZipFile(built).namelist())


def test_a_layer_is_built_once(tmp_path: Path) -> None:
    first = layer.build(tmp_path, HERE, None)
    stamp = first.stat().st_mtime_ns
    assert layer.build(tmp_path, HERE, None) == first
    assert first.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("content", [b"other code", b""])
def test_a_cached_layer_that_somebody_changed_is_built_again(tmp_path: Path, content: bytes) -> None:
    built = layer.build(tmp_path, HERE, None)
    before = zipfile.ZipFile(built).namelist()
    built.write_bytes(content)
    assert zipfile.ZipFile(layer.build(tmp_path, HERE, None)).namelist() == before


def test_the_fingerprint_covers_platform_and_every_requirement(tmp_path: Path) -> None:
    # Given: requirements that include others.
    (tmp_path / "more.txt").write_text("idna\n")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("-r more.txt\n")
    arm, intel = layer.Platform.aws("arm64"), layer.Platform.aws("x86_64")

    # Then: another platform and a changed included file give another layer.
    before = layer.fingerprint(arm, Requirements(requirements))
    assert len({before, layer.fingerprint(intel, Requirements(requirements)), layer.fingerprint(arm, None)}) == 3
    (tmp_path / "more.txt").write_text("idna>=3\n")
    assert layer.fingerprint(arm, Requirements(requirements)) != before


@pytest.mark.parametrize(
    "line",
    ['-r "more reqs.txt"', "-r more reqs.txt", "--requirement='more reqs.txt'", "-r ${RTP_DIR}/more reqs.txt"],
)
def test_an_included_file_counts_in_every_form_that_uv_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setenv("RTP_DIR", str(tmp_path))
    (tmp_path / "more reqs.txt").write_text("idna\n")
    (tmp_path / "requirements.txt").write_text(f"{line}\n")
    before = layer.fingerprint(HERE, Requirements(tmp_path / "requirements.txt"))
    (tmp_path / "more reqs.txt").write_text("idna>=3\n")
    assert layer.fingerprint(HERE, Requirements(tmp_path / "requirements.txt")) != before


@pytest.mark.parametrize("line", ["./acme", "-e ./acme", "acme @ file:acme", "--find-links acme\nacme"])
def test_a_changed_file_of_a_folder_that_a_line_names_is_another_layer(tmp_path: Path, line: str) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "rates.py").write_text("RATE = 19\n")
    (tmp_path / "requirements.txt").write_text(f"{line}\n")
    before = layer.fingerprint(HERE, Requirements(tmp_path / "requirements.txt"))
    (tmp_path / "acme" / "rates.py").write_text("RATE = 21\n")
    assert layer.fingerprint(HERE, Requirements(tmp_path / "requirements.txt")) != before


def test_a_wheel_that_is_built_again_under_the_same_name_is_installed_again(tmp_path: Path) -> None:
    # Given a layer with a wheel that is named by its path
    wheel = _wheel(tmp_path / "wheels", "1.0", text="RATE = 19\n")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"--no-index\n./wheels/{wheel.name}\n")
    first = layer.here(tmp_path / "layers", Requirements(requirements))
    # When it is built again / Then the next layer has the new one
    _wheel(tmp_path / "wheels", "1.0", text="RATE = 21\n")
    second = layer.here(tmp_path / "layers", Requirements(requirements))
    assert (first.paths[0] / "rtp_made_up.py").read_text() == "RATE = 19\n"
    assert (second.paths[0] / "rtp_made_up.py").read_text() == "RATE = 21\n"


def test_the_password_of_an_index_is_in_no_message_and_no_file(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("--index-url http://ann:hunter2@127.0.0.1:1/simple\nrtp-made-up\n")
    with pytest.raises(ConfigError) as refused:
        layer.build(tmp_path / "layers", layer.Platform.aws("arm64"), Requirements(requirements))
    assert "hunter2" not in f"{refused.value.message}{refused.value.hint}"
    kept = [path for path in (tmp_path / "layers").rglob("*") if path.is_file()]
    assert not any(b"hunter2" in path.read_bytes() for path in kept)


def test_files_may_include_each_other(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("-r requirements.txt\n-c requirements.txt\n")
    assert layer.fingerprint(HERE, Requirements(requirements))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtp-no-such-package==1.0\n", "rtp-no-such-package"),
        ("wrapt==1.0\n", "wrapt==1.0"),
        ("this is no requirement\n", "Expected one of"),
    ],
)
def test_requirements_that_do_not_resolve_are_an_error_with_the_reason(
    tmp_path: Path, text: str, expected: str
) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(text)
    with pytest.raises(ConfigError, match=r"requirements\.txt does not resolve for lambda-") as refused:
        layer.build(tmp_path / "layers", layer.Platform.aws("arm64"), Requirements(requirements))
    assert expected in refused.value.message
    assert "\n" not in refused.value.message
    assert not list((tmp_path / "layers").glob("layer-*"))


def test_missing_requirements_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.txt cannot be read"):
        layer.build(tmp_path, HERE, Requirements(tmp_path / "missing.txt"))


def test_empty_requirements_are_allowed(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# nothing yet\n")
    assert layer.build(tmp_path, HERE, Requirements(requirements)).exists()


def test_an_installed_package_is_taken_in_whatever_version() -> None:
    assert installed.files("wrapt==0.0.1 \\\n    --hash=sha256:00\n")


def test_missing_packages_and_working_folders_are_not_taken() -> None:
    assert installed.files("rtp-no-such-package==1.0\n") is None
    assert installed.files("rtp==0.1.0\n") is None  # an editable install has no files to copy


def test_the_pins_have_hashes_and_no_index() -> None:
    text = layer._OWN.read_text()
    pins = [line for line in text.splitlines() if "==" in line]
    assert {"aws-xray-sdk", "wrapt"} <= {pin.split("==")[0] for pin in pins}
    assert "://" not in text
    assert text.count("--hash=sha256:") >= len(pins)


def test_more_than_lambda_takes_is_refused_with_the_largest_parts(tmp_path: Path) -> None:
    # Given a layer of 300 MB unpacked
    target = tmp_path / "layer.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for number in range(30):
            packed.writestr(f"python/pandas/{number}.so", bytes(10_000_000))
        packed.writestr("python/six.py", b"x")
    # When / Then
    with pytest.raises(ConfigError, match="300 MB unpacked; Lambda takes 262 MB") as refused:
        contents.check_size([], target)
    assert "pandas 300 MB" in refused.value.hint
    assert refused.value.code == "too-large"


PROJECT = """\
[project]
name = "shop"
version = "1"
dependencies = ["rtp-a>=1", "rtp-b[fast] ; python_version > '3'"]
[project.optional-dependencies]
data = ["rtp-c"]
other = ["rtp-d"]
[dependency-groups]
worker = ["rtp-e", { include-group = "shared" }]
shared = ["rtp-f @ https://example.com/f.whl", { include-group = "worker" }]
"""


def test_a_project_asks_for_its_dependencies_and_the_chosen_extras_and_groups(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(PROJECT)
    asked = [name.strip() for name in Requirements(file, ("data",), ("worker",)).names()]
    assert asked == ["rtp-a", "rtp-b[fast]", "rtp-c", "rtp-e", "rtp-f"]
    prints = {layer.fingerprint(HERE, Requirements(file, *choice)) for choice in [(), (("data",),), ((), ("worker",))]}
    assert len(prints) == 3


def test_the_check_takes_the_versions_of_the_layer(tmp_path: Path) -> None:
    # Given a package of which a newer version has come out since the layer for Lambda was resolved
    for version in ("1.0", "2.0"):
        _wheel(tmp_path / "wheels", version)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("--no-index\n--find-links wheels\nrtp-made-up\n")
    lock = tmp_path / "layer.zip"
    with zipfile.ZipFile(lock, "w") as packed:
        packed.writestr("python/rtp_made_up-1.0.dist-info/METADATA", "")
        packed.writestr("python/wrapt-0.0.1.dist-info/METADATA", "")  # rtp's own are pinned already
    # When the check looks for the packages on this machine
    locked = layer.here(tmp_path / "layers", Requirements(requirements), lock)
    free = layer.here(tmp_path / "layers", Requirements(requirements))
    # Then it takes the version that Lambda gets, and the local engine the newest
    assert (locked.paths[0] / "rtp_made_up.py").read_text() == "VERSION = '1.0'\n"
    assert (free.paths[0] / "rtp_made_up.py").read_text() == "VERSION = '2.0'\n"
    # And a version without a build for this machine is not replaced by another one
    (tmp_path / "wheels" / "rtp_made_up-1.0-py3-none-any.whl").unlink()
    unbuilt = layer.here(tmp_path / "other", Requirements(requirements), lock)
    assert (unbuilt.unbuilt, unbuilt.paths) == (("rtp_made_up==1.0",), ())


def test_no_source_distribution_is_built_on_this_machine(tmp_path: Path) -> None:
    """Its code would run unasked, with the operator's keys in its environment, before any check of the processors."""
    ran = tmp_path / "ran"
    _source(tmp_path / "links", ran)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("--no-index\n--find-links links\nrtp-made-up\n")
    for platform in (HERE, layer.Platform.aws("arm64")):
        with pytest.raises(ConfigError, match=r"rtp-made-up==1\.0 has no usable wheels"):
            layer.build(tmp_path / "layers", platform, Requirements(requirements))
    # And where Lambda has a wheel and this interpreter the source alone, the check says that it has no build
    lock = tmp_path / "layer.zip"
    with zipfile.ZipFile(lock, "w") as packed:
        packed.writestr("python/rtp_made_up-1.0.dist-info/METADATA", "")
    assert layer.here(tmp_path / "layers", Requirements(requirements), lock).unbuilt == ("rtp_made_up==1.0",)
    assert not ran.exists()


def test_a_local_folder_is_built(tmp_path: Path) -> None:
    """It is the project's own code, and refused where another user wrote it."""
    ran = tmp_path / "ran"
    _source(tmp_path / "links", ran)
    with tarfile.open(tmp_path / "links" / "rtp_made_up-1.0.tar.gz") as packed:
        packed.extractall(tmp_path, filter="data")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("--no-index\n./rtp_made_up-1.0\n")
    for platform in (HERE, layer.Platform.aws("arm64")):
        ran.unlink(missing_ok=True)
        built = layer.build(tmp_path / platform.name, platform, Requirements(requirements))
        assert "python/rtp_made_up.py" in zipfile.ZipFile(built).namelist() and ran.exists()


def _source(links: Path, ran: Path) -> None:
    """Pack a source distribution whose own build writes the file `ran`."""
    backend = f"""
import zipfile
from pathlib import Path
INFO = "rtp_made_up-1.0.dist-info"
FILES = {{
    "METADATA": "Metadata-Version: 2.1\\nName: rtp-made-up\\nVersion: 1.0\\n",
    "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
}}
def prepare_metadata_for_build_wheel(folder, settings=None):
    Path({str(ran)!r}).write_text("metadata")
    Path(folder, INFO).mkdir()
    for name, text in FILES.items():
        Path(folder, INFO, name).write_text(text)
    return INFO
def build_wheel(folder, settings=None, metadata=None):
    Path({str(ran)!r}).write_text("wheel")
    with zipfile.ZipFile(Path(folder, "rtp_made_up-1.0-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("rtp_made_up.py", "")
        for name, text in FILES.items():
            wheel.writestr(f"{{INFO}}/{{name}}", text)
        wheel.writestr(f"{{INFO}}/RECORD", "")
    return "rtp_made_up-1.0-py3-none-any.whl"
"""
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    files = {"pyproject.toml": project, "backend.py": backend, "PKG-INFO": PKG_INFO}
    links.mkdir()
    with tarfile.open(links / "rtp_made_up-1.0.tar.gz", "w:gz") as packed:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"rtp_made_up-1.0/{name}")
            entry.size = len(text)
            packed.addfile(entry, io.BytesIO(text.encode()))


def _wheel(folder: Path, version: str, *, text: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    info = f"rtp_made_up-{version}.dist-info"
    file = folder / f"rtp_made_up-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr("rtp_made_up.py", text or f"VERSION = '{version}'\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: rtp-made-up\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return file


@pytest.mark.parametrize(
    ("cause", "blamed"),
    [
        ("current Python does not satisfy Python>=3.12 and numpy==2.5.5 depends on Python>=3.12, we can", True),
        ("Because numpy==2.5.5 has no wheels with a matching Python ABI tag (e.g., `cp311`)", True),
        ("Because there is no version of numpy==2.5.5 and you require numpy", True),
        ("Because pandas==3.0 depends on numpy==2.5.5 and numpy==2.5.5 cannot be used", False),
        ("Because not-numpy==2.5.5 depends on Python>=3.12", False),
        ("numpy==2.5.50 depends on Python>=3.12", False),
    ],
)
def test_the_package_that_lacks_a_build_is_read_from_uv_s_explanation(cause: str, blamed: bool) -> None:
    assert layer._blames(cause, "numpy==2.5.5") is blamed
