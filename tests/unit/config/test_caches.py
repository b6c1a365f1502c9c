"""Caches are kept where no other user can put something into them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from rtp.errors import ConfigError
from rtp.infra import caches, uv

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    path = tmp_path / "temporary"
    path.mkdir()
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir(mode=0o755)
    return path


def own(temporary: Path) -> Path:
    return temporary / f"rtp-cache-{os.getuid()}"


def test_a_home_of_ones_own_is_used_and_changes_nothing(home: Path, temporary: Path) -> None:
    environ = {"HOME": str(home)}
    assert caches.folder(environ, temporary) == home / ".cache" / "rtp"
    assert caches.environment(environ, temporary) == {}
    assert list(temporary.iterdir()) == []


def test_the_users_cache_folder_goes_before_the_home(home: Path, temporary: Path) -> None:
    (home / "caches").mkdir()
    environ = {"HOME": "/nonexistent", "XDG_CACHE_HOME": str(home / "caches")}
    assert caches.folder(environ, temporary) == home / "caches" / "rtp"
    relative = {"HOME": str(home), "XDG_CACHE_HOME": "caches"}  # ignored, as the specification says
    assert caches.folder(relative, temporary) == home / ".cache" / "rtp"


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_folder_that_others_can_write_is_not_used(home: Path, temporary: Path, mode: int) -> None:
    home.chmod(mode)
    environ = {"HOME": str(home)}
    assert caches.folder(environ, temporary) == own(temporary)
    child = caches.environment(environ, temporary)
    assert child["UV_CACHE_DIR"] == str(own(temporary) / "uv")
    assert child["CDK_HOME"] == str(own(temporary) / "cdk")
    assert child["JSII_RUNTIME_PACKAGE_CACHE"] == "disabled"
    assert own(temporary).stat().st_mode & 0o777 == 0o700


def test_a_parent_that_others_can_write_is_as_bad(home: Path) -> None:
    (home / ".cache" / "rtp").mkdir(parents=True, mode=0o700)
    assert caches.is_private(home / ".cache" / "rtp")
    home.chmod(0o777)
    assert not caches.is_private(home / ".cache" / "rtp")


def test_a_link_is_judged_by_its_target(home: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    (home / ".cache").symlink_to(shared)
    assert not caches.is_private(home / ".cache")
    (home / "dangling").symlink_to(tmp_path / "missing")
    assert not caches.is_private(home / "dangling")


def test_uvs_own_setting_stays(home: Path, temporary: Path) -> None:
    home.chmod(0o777)
    environ = {"HOME": str(home), "UV_CACHE_DIR": "/elsewhere"}
    assert "UV_CACHE_DIR" not in caches.environment(environ, temporary)
    assert uv.environment(environ)["UV_CACHE_DIR"] == "/elsewhere"


@pytest.mark.parametrize("kind", ["shared", "file", "link"])
def test_a_fallback_that_is_not_ones_own_is_refused(temporary: Path, tmp_path: Path, kind: str) -> None:
    path = own(temporary)
    if kind == "file":
        path.touch()
    elif kind == "link":
        path.symlink_to(tmp_path)
    else:
        path.mkdir()
        path.chmod(0o777)
    with pytest.raises(ConfigError) as caught:
        caches.fallback(temporary)
    assert str(path) in caught.value.message
    assert "XDG_CACHE_HOME" in caught.value.hint
