"""Another user's file, or one that another user can write, is no file of this user's."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from rtp.config import Overrides, environments
from rtp.errors import ConfigError, ExitCode, RefusedError
from rtp.infra import archive, assets, packing, uv
from rtp.ops import envfile, project_tests
from rtp.ops.stack.build import processors
from rtp.trust import access, endpoints, project, store

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment of a user with a home of its own."""
    return {"HOME": str(tmp_path / "home")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with an rtp.toml."""
    folder = tmp_path / "shop"
    folder.mkdir(mode=0o755)
    (folder / "rtp.toml").write_text('project = "shop"\n')
    (folder / "rtp.toml").chmod(0o644)
    return folder


def resolve(folder: Path, environ: dict[str, str]) -> Any:
    return environments.resolve(Overrides(), cwd=folder, environ=environ)


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o755, 0o444])
def test_a_file_that_only_its_owner_can_write_is_this_users(folder: Path, mode: int) -> None:
    (folder / "rtp.toml").chmod(mode)
    assert access.risk(folder / "rtp.toml") == ""


@pytest.mark.parametrize("name", ["rtp.toml", "."])
@pytest.mark.parametrize("mode", [0o666, 0o777, 0o646, 0o622])
def test_what_every_user_can_write_is_refused(folder: Path, environ: dict[str, str], name: str, mode: int) -> None:
    (folder / name).chmod(mode | 0o500)

    with pytest.raises(RefusedError) as caught:
        resolve(folder, environ)

    assert "can be written by every user" in caught.value.message
    assert "rtp trust" in caught.value.hint
    assert "RTP_TRUST" in caught.value.hint
    assert (caught.value.code, caught.value.exit_code) == ("untrusted", ExitCode.REFUSED)


@as_root
@pytest.mark.parametrize("name", ["rtp.toml", ".", "processors.py"])
def test_another_users_file_is_refused(folder: Path, environ: dict[str, str], name: str) -> None:
    (folder / "processors.py").touch(0o644)
    (folder / "rtp.toml").write_text('[processors]\npath = "processors.py"\n')
    os.chown(folder / name, NOBODY, NOBODY)

    with pytest.raises(RefusedError, match="belongs to another user"):
        resolve(folder, environ)


@as_root
def test_another_users_link_to_an_own_file_is_refused(folder: Path, environ: dict[str, str]) -> None:
    (folder / "rtp.toml").rename(folder / "own.toml")
    (folder / "rtp.toml").symlink_to("own.toml")
    os.lchown(folder / "rtp.toml", NOBODY, NOBODY)

    with pytest.raises(RefusedError, match="belongs to another user"):
        resolve(folder, environ)


@as_root
def test_under_sudo_the_users_own_project_is_used(folder: Path, environ: dict[str, str]) -> None:
    for path in (folder, folder / "rtp.toml"):
        os.chown(path, NOBODY, NOBODY)
    assert resolve(folder, environ | {"SUDO_UID": str(NOBODY)}).project == "shop"


@as_root
@pytest.mark.parametrize(("gid", "is_refused"), [(0, False), (12345, True)])
def test_group_write_counts_unless_the_group_is_the_owners_own(
    folder: Path, environ: dict[str, str], gid: int, is_refused: bool
) -> None:
    os.chown(folder / "rtp.toml", 0, gid)
    (folder / "rtp.toml").chmod(0o664)

    if is_refused:
        with pytest.raises(RefusedError, match="can be written by the group 12345"):
            resolve(folder, environ)
    else:
        assert resolve(folder, environ).project == "shop"


def test_in_a_sticky_folder_an_own_file_is_used(folder: Path, environ: dict[str, str]) -> None:
    folder.chmod(0o1777)
    assert resolve(folder, environ).project == "shop"


def test_a_trusted_folder_is_used_until_it_is_no_more(folder: Path, environ: dict[str, str]) -> None:
    (folder / "rtp.toml").chmod(0o666)

    store.add(folder, environ=environ)
    assert resolve(folder, environ).project == "shop"
    assert store.remove(folder, environ)
    assert not store.remove(folder, environ)
    with pytest.raises(RefusedError):
        resolve(folder, environ)


@pytest.mark.parametrize(
    ("value", "is_trusted"), [("{}", True), ("/x:{}/", True), ("*", True), ("/x", False), ("", False)]
)
def test_a_variable_trusts_for_one_run(folder: Path, environ: dict[str, str], value: str, is_trusted: bool) -> None:
    assert store.is_trusted(folder, environ | {"RTP_TRUST": value.format(folder)}) == is_trusted


def test_what_is_trusted_is_not_read_from_a_file_that_others_can_write(folder: Path, environ: dict[str, str]) -> None:
    store.add(folder, environ=environ)
    path = store.file(environ)
    assert path is not None
    assert path.stat().st_mode & 0o077 == 0
    path.chmod(0o666)

    with pytest.raises(RefusedError, match="every user"):
        store.is_trusted(folder, environ)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"folders": 1, "endpoints": {}}',
        '{"folders": "ab", "endpoints": {}}',
        '{"folders": [], "endpoints": []}',
    ],
)
def test_a_damaged_list_is_reported(environ: dict[str, str], text: str) -> None:
    path = store.file(environ)
    assert path is not None
    path.parent.mkdir(parents=True, mode=0o700)
    path.write_text(text)
    with pytest.raises(ConfigError, match="damaged"):
        store.read(environ)


def test_a_user_without_a_home_has_no_list() -> None:
    assert store.file({"HOME": "relative", "XDG_CONFIG_HOME": "relative"}) is None


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_the_state_folder_is_private_whatever_the_umask_is(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        project.below(tmp_path / ".rtp" / "cdk" / "home")
    finally:
        os.umask(before)
    for path in (".rtp", ".rtp/cdk", ".rtp/cdk/home"):
        assert (tmp_path / path).stat().st_mode & 0o777 == 0o700
    assert (tmp_path / ".rtp/.gitignore").read_text() == "*\n"


def test_an_older_state_folder_that_others_could_read_is_closed(tmp_path: Path) -> None:
    (tmp_path / ".rtp").mkdir(mode=0o755)
    project.below(tmp_path / ".rtp")
    assert (tmp_path / ".rtp").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", [".rtp", "."])
def test_a_state_folder_that_others_could_write_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / ".rtp").mkdir()
    (tmp_path / name).chmod(0o777)

    with pytest.raises(RefusedError, match="can be written by every user"):
        project.below(tmp_path / ".rtp" / "cdk")


def test_a_cached_archive_that_was_changed_is_packed_again(tmp_path: Path) -> None:
    # Given a layer or code archive in the cache, which somebody replaces
    source = tmp_path / "source.py"
    source.write_text("print(1)\n")
    folder = tmp_path / ".rtp" / "assets"
    packed = assets.code(folder, [("source.py", source)])
    content = packed.read_bytes()
    assert archive.is_intact(packed)

    for other in (b"other code", b""):
        packed.write_bytes(other)
        assert not archive.is_intact(packed)
        # When it is to be uploaded, then it is what was packed
        assert assets.code(folder, [("source.py", source)]).read_bytes() == content
    packed.with_name(f"{packed.name}.sha256").unlink()
    assert not archive.is_intact(packed)


def test_a_state_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".rtp").symlink_to("elsewhere")
    with pytest.raises(RefusedError, match="is a link"):
        project.below(tmp_path / ".rtp" / "cdk")


@as_root
def test_another_users_state_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".rtp").mkdir(mode=0o700)
    os.chown(tmp_path / ".rtp", NOBODY, NOBODY)
    with pytest.raises(RefusedError, match="belongs to another user"):
        project.below(tmp_path / ".rtp" / "cdk")


@as_root
@pytest.mark.parametrize("name", ["other.py", "package", "package/deep.py"])
def test_code_of_another_user_is_refused_wherever_it_is_packed_from(folder: Path, name: str) -> None:
    (folder / "src" / "package").mkdir(parents=True)
    for file in ("processors.py", "other.py", "package/deep.py"):
        (folder / "src" / file).write_text("")
    sources = packing.Sources(folder / "src", folder)
    assert len(packing.select(sources).entries) == 3
    os.chown(folder / "src" / name, NOBODY, NOBODY)
    with pytest.raises(RefusedError, match=name.partition("/")[0]) as caught:
        packing.select(sources)
    assert caught.value.code == "untrusted"


@pytest.mark.parametrize("path", ["src", "src/processors.py", "../shared/processors.py"])
def test_code_in_a_folder_that_others_can_write_is_refused(folder: Path, path: str) -> None:
    code = (folder / path).resolve()
    (code if code.suffix == "" else code.parent).mkdir(mode=0o755)
    sources = packing.Sources(code, folder)
    (sources.root / "processors.py").write_text("")
    (sources.root / "processors.py").chmod(0o644)
    assert len(packing.select(sources).entries) == 1
    # When another user can replace the file, after any check
    sources.root.chmod(0o777)
    with pytest.raises(RefusedError, match="can be written by every user") as caught:
        packing.select(sources)
    assert str(sources.root) in caught.value.message


TESTED = (
    "conftest.py", "tests", "tests/test_a.py", "pyproject.toml", "pytest.py", "deep/folder/conftest.py", ".venv",
    ".venv/bin/python", ".venv/bin", ".venv/lib/python3.11/site-packages",
)  # fmt: skip


@pytest.mark.parametrize("has_file", [True, False], ids=["a project", "no rtp.toml"])
@pytest.mark.parametrize("attack", [pytest.param("owner", marks=as_root), "mode"])
@pytest.mark.parametrize("name", TESTED)
def test_no_test_of_another_user_is_run(
    folder: Path, environ: dict[str, str], name: str, attack: str, has_file: bool
) -> None:
    # Given a project of this user, in which another one has put or can change what pytest or Python runs
    mark = folder / "was-run"
    for path in map(folder.joinpath, TESTED):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix:
            path.write_text(f"open({str(mark)!r}, 'w')\n" if path.suffix == ".py" else "")
        elif path.name != "python":
            path.mkdir(exist_ok=True)
    (folder / ".venv" / "pyvenv.cfg").touch()
    python = folder / ".venv" / "bin" / "python"
    python.write_text(f"#!/bin/sh\ntouch {mark}\n")
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o755)
    if not has_file:
        (folder / "rtp.toml").unlink()
    if attack == "owner":
        os.chown(folder / name, NOBODY, NOBODY)
    else:
        (folder / name).chmod(0o777)
    # Then nothing of it runs
    with pytest.raises(RefusedError) as caught:
        project_tests.run(resolve(folder, environ), [], quiet_stdout=True)
    assert caught.value.code == "untrusted" and str(folder / name) in caught.value.message
    assert not mark.exists()


@pytest.mark.parametrize("attack", [pytest.param("owner", marks=as_root), "mode", "folder"])
def test_no_secrets_of_another_user_are_used(folder: Path, attack: str) -> None:
    # Given a project in a folder where everybody may create files, as in /tmp
    folder.chmod(0o777 if attack == "folder" else 0o1777)
    (folder / ".env.local").write_text("PARTNER_URL=https://evil.example\n")
    if attack == "owner":
        os.chown(folder / ".env.local", NOBODY, NOBODY)
    elif attack == "mode":
        (folder / ".env.local").chmod(0o666)
    # Then its values are not given to processors
    with pytest.raises(RefusedError, match="processors get the secrets that it has") as caught:
        envfile.of_project(folder)
    assert caught.value.code == "untrusted"


def test_no_module_of_the_current_folder_runs_where_a_project_s_tests_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "was-run"
    for name in ("importlib", "pytest", "rtp"):
        (tmp_path / "shared" / name).mkdir(parents=True)
        (tmp_path / "shared" / name / "__init__.py").write_text(f"open({str(mark)!r}, 'w')\n")
    monkeypatch.chdir(tmp_path / "shared")
    project_tests.interpreter(tmp_path, {})
    assert not mark.exists()


UV = [
    ("pip", "install", "--offline", "--target", "TARGET", "--python-version", "3.14", "--only-binary", ":all:", "six"),
    ("pip", "compile", "--offline", "--python-version", "3.14", "--output-file", "TARGET", "requirements.txt"),
    ("build", "--offline", "--wheel", "--out-dir", "TARGET", "."),
    ("export", "--frozen", "--output-file", "TARGET"),
]


@pytest.mark.parametrize("place", [".", ".."])
@pytest.mark.parametrize("command", UV, ids=lambda command: "-".join(command[:2]))
def test_no_interpreter_of_a_folder_above_runs_for_uv(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], place: str
) -> None:
    # Given an environment that anybody may have put into the current folder or above it, as in /tmp
    mark, python = folder / "was-run", folder / place / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\ntouch {mark}\n")
    python.chmod(0o755)
    (folder / place / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (folder / "requirements.txt").write_text("six\n")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    with suppress(uv.UvError):
        uv.run(*(str(folder / "target") if word == "TARGET" else word for word in command))
    assert not mark.exists()


ABOVE = ("pytest.ini", ".pytest.toml", "pyproject.toml", "tox.ini", "setup.cfg", "conftest.py")


@pytest.mark.parametrize("attack", [pytest.param("owner", marks=as_root), "mode", pytest.param("link", marks=as_root)])
@pytest.mark.parametrize("name", ABOVE)
def test_no_setting_of_another_user_above_a_project_runs_code_in_its_tests(
    folder: Path, environ: dict[str, str], name: str, attack: str
) -> None:
    # Given a project in a folder where everybody may create files, as in /tmp
    above, mark = folder.parent, folder / "was-run"
    above.chmod(0o1777)
    (above / "evil.py").write_text(f"open({str(mark)!r}, 'w')\n")
    (above / name).write_text("[pytest]\naddopts = -p evil\npythonpath = .\n" if name != "conftest.py" else "")
    if attack == "mode":
        (above / name).chmod(0o666)
    elif attack == "owner":
        os.chown(above / name, NOBODY, NOBODY)
    else:
        (above / name).rename(above / "other")
        (above / name).symlink_to("other")
        os.chown(above / name, NOBODY, NOBODY, follow_symlinks=False)
    (folder / "test_a.py").write_text("def test_a(): pass\n")
    # Then nothing of it runs
    with pytest.raises(RefusedError, match="pytest reads its settings there") as caught:
        project_tests.run(resolve(folder, environ), [], quiet_stdout=True)
    assert caught.value.code == "untrusted" and str(above / name) in caught.value.message
    assert f"rtp trust {folder}`" in caught.value.hint and "chown" not in caught.value.hint
    assert not mark.exists()


@pytest.mark.parametrize("name", ["uv.toml", "pyproject.toml"])
@pytest.mark.parametrize("place", [".", ".."])
@pytest.mark.parametrize("attack", [pytest.param("owner", marks=as_root), "mode"])
def test_no_index_of_another_user_is_asked_for_packages(folder: Path, name: str, place: str, attack: str) -> None:
    folder.parent.chmod(0o1777)
    settings = folder / place / name
    settings.write_text('index-url = "http://127.0.0.1:9/simple"\n' if name == "uv.toml" else "[tool.uv]\n")
    if attack == "mode":
        settings.chmod(0o666)
    else:
        os.chown(settings, NOBODY, NOBODY)
    with pytest.raises(RefusedError, match="uv reads its settings there"):
        uv.run("pip", "list", cwd=folder)


def test_a_folder_above_counts_where_it_has_settings(folder: Path) -> None:
    folder.parent.chmod(0o777)
    project.check_settings(folder, ["uv.toml"], "uv")
    (folder.parent / "uv.toml").write_text("")
    with pytest.raises(RefusedError, match="can be written by every user, and uv reads"):
        project.check_settings(folder, ["uv.toml"], "uv")


@pytest.mark.parametrize("name", ["requirements.txt", "base.txt", "wheels/x-1-py3-none-any.whl"])
def test_requirements_that_others_can_write_are_refused(folder: Path, environ: dict[str, str], name: str) -> None:
    (folder / "wheels").mkdir()
    (folder / "wheels" / "x-1-py3-none-any.whl").write_bytes(b"")
    (folder / "requirements.txt").write_text("-r base.txt\n./wheels/x-1-py3-none-any.whl\n")
    (folder / "base.txt").write_text("")
    (folder / "rtp.toml").write_text('[processors]\npath = "p.py"\nrequirements = "requirements.txt"\n')
    (folder / "p.py").write_text("")
    environment = resolve(folder, environ)
    assert processors.requirements_of(environment)
    (folder / name).chmod(0o666)
    with pytest.raises(RefusedError, match="can be written by every user"):
        processors.requirements_of(environment)


@pytest.mark.parametrize("line", ["-r base.txt", "-c /dev/null"])
def test_requirements_that_have_no_end_are_refused(folder: Path, environ: dict[str, str], line: str) -> None:
    """A repository may have a link to /dev/zero; /dev/null stands for it here."""
    (folder / "requirements.txt").write_text(f"{line}\n")
    (folder / "base.txt").symlink_to("/dev/null")
    (folder / "rtp.toml").write_text('[processors]\npath = "p.py"\nrequirements = "requirements.txt"\n')
    (folder / "p.py").write_text("")
    with pytest.raises(ConfigError, match="of the requirements, is a device and no file"):
        processors.requirements_of(resolve(folder, environ))


@pytest.mark.parametrize(
    ("url", "is_elsewhere"),
    [
        ("http://127.0.0.1:4566", False),
        ("http://127.0.0.2:4566", True),  # another user of this machine may listen there
        ("http://[::1]:4566", False),
        ("http://localhost:4566", False),
        ("http://s3.localhost:4566", True),
        ("https://sqs.us-east-1.amazonaws.com", False),
        ("https://sqs.us-east-1.api.aws", False),
        ("http://sqs.us-east-1.amazonaws.com", True),  # anybody on the way can read it
        ("https://amazonaws.com.evil.example", True),
        ("https://evil-amazonaws.com", True),
        ("https://localhost.evil.example", True),
        ("http://10.0.0.5:4566", True),
        ("http://2130706433", True),
        ("https://192.0.2.2:18998\\@sts.amazonaws.com", True),  # urllib's host is not the one that is called
        ("http://192.0.2.2\\@localhost", True),
        ("http://user@localhost", True),
        ("http://localhost\t.evil.example", True),
        ("http://localhost#@evil.example", True),
        ("http://[::1", True),
        ("https://abc.execute-api.us-east-1.amazonaws.com", True),  # anybody may own such an API
        ("https://bucket.s3.amazonaws.com", True),
        ("https://bucket.s3.us-east-1.amazonaws.com", True),
        ("https://ec2-192-0-2-1.compute-1.amazonaws.com", True),
        ("https://sts.amazonaws.com", False),
        ("https://s3.dualstack.us-east-1.amazonaws.com", False),
        ("https://sqs.us-gov-west-1.amazonaws.com", False),
        ("https://sqs.cn-north-1.amazonaws.com.cn", False),
    ],
)
def test_an_endpoint_is_elsewhere_unless_it_is_aws_or_this_machine(url: str, is_elsewhere: bool) -> None:
    assert endpoints.is_elsewhere(url) == is_elsewhere
