"""Another user of this machine, as a process of its own: what it can put in a user's way, and what it can read."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rtp.config import Environment, Overrides, environments
from rtp.errors import ConfigError, RefusedError, RtpError
from rtp.infra import caches
from rtp.local import keys
from rtp.local.state import Record, folder
from rtp.ops import shown
from rtp.ops.access import lock
from rtp.ops.journal_store import JournalFiles
from rtp.trust import private, project
from tests.users import NOBODY, ORDINARY, as_root, as_user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = as_root


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user can reach and write, as /tmp; pytest's own are closed to others."""
    path = Path(tempfile.mkdtemp(prefix="rtp-shared-"))
    path.chmod(0o1777)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def shop(shared: Path) -> Path:
    """A project in it, with everything that rtp keeps, written under the widest umask."""
    before = os.umask(0)
    try:
        root = shared / "shop"
        root.mkdir(mode=0o755)
        (root / "rtp.toml").write_text('project = "shop"\n')
        (root / "rtp.toml").chmod(0o644)
        state = root / ".rtp"
        project.below(state / "cdk" / "dev")
        with lock.held(state, "dev", "deploy"):
            pass
        private.write(state / "checked", "digest")
        environment = Environment(name="dev", project="shop", root=root, file=root / "rtp.toml")
        shown.remember(environment, [shown.Shown("id")])
        JournalFiles(state / "dlq" / "dev").begin("one", b"{}\n", durable=False)
        engine = folder(root)
        engine.create()
        with engine.lock():
            engine.write_record(RECORD)
        return root
    finally:
        os.umask(before)


RECORD = Record(pid=1, started="1", port=4566, token="this run's", device=1, inode=1, **keys.generate()._asdict())


def test_what_rtp_keeps_of_a_user_is_closed_to_another(shop: Path) -> None:
    paths = [str(path) for path in (shop / ".rtp", *(shop / ".rtp").rglob("*"))]
    assert len(paths) > 12 and str(folder(shop).record_file) in paths

    def attack() -> list[str]:
        """The acts that succeed."""
        acts: dict[str, Callable[[str], object]] = {
            "list": os.listdir,
            "read": lambda path: Path(path).read_bytes(),
            "append": lambda path: os.close(os.open(path, os.O_WRONLY | os.O_APPEND)),
            "look": os.lstat,
            "open up": lambda path: Path(path).chmod(0o777),
            "delete": lambda path: Path(path).unlink(),
            "delete folder": lambda path: Path(path).rmdir(),
            "rename": lambda path: Path(path).rename(f"{path}.old"),
            "replace": lambda path: Path(f"{path}.new").symlink_to("/etc/passwd"),
            "own": lambda path: os.chown(path, NOBODY, NOBODY),
        }
        assert Path(shop / "rtp.toml").read_text()  # the project itself is open
        done = []
        for path in paths:
            for name, act in acts.items():
                with contextlib.suppress(OSError):
                    act(path)
                    done.append(f"{name} {path}")
        return done

    # The mode of .rtp is all that can be seen
    assert as_user(NOBODY, attack) == [f"look {paths[0]}"]


def resolve(place: Path) -> object:
    return environments.resolve(Overrides(), cwd=place, environ={"HOME": str(place / "home")})


def plant_settings(shared: Path) -> None:
    (shared / "rtp.toml").write_text('[processors]\npath = "processors"\n')


def plant_own_folder(shared: Path) -> None:
    (shared / ".rtp").mkdir(mode=0o777)


def plant_folders(shared: Path) -> None:
    for name in (".rtp", ".rtp/local", ".rtp/local/data", ".rtp/cdk"):
        (shared / name).mkdir(mode=0o755)


def plant_link(shared: Path) -> None:
    (shared / "theirs").mkdir(mode=0o777)
    (shared / ".rtp").symlink_to("theirs")


def plant_cache(shared: Path) -> None:
    (shared / "rtp-cache-0").mkdir(mode=0o777)


def plant_cache_link(shared: Path) -> None:
    (shared / "theirs").mkdir(mode=0o777)
    (shared / "rtp-cache-0").symlink_to("theirs")


def plant_cache_file(shared: Path) -> None:
    (shared / "rtp-cache-0").touch()


def use_settings(shared: Path) -> None:
    (shared / "mine").mkdir()
    resolve(shared / "mine")


def use_state(shared: Path) -> None:
    project.below(shared / ".rtp" / "cdk")


def use_engine(shared: Path) -> None:
    folder(shared).create()


def use_journals(shared: Path) -> None:
    JournalFiles(shared / ".rtp" / "dlq" / "dev").begin("one", b"{}\n", durable=False)


def use_cache(shared: Path) -> None:
    caches.fallback(shared)


STATE_USES = (use_state, use_engine, use_journals)
ATTACKS = [
    (plant_settings, use_settings),
    *((plant, use) for plant in (plant_own_folder, plant_folders, plant_link) for use in STATE_USES),
    *((plant, use_cache) for plant in (plant_cache, plant_cache_link, plant_cache_file)),
]


@pytest.mark.parametrize(("plant", "use"), ATTACKS, ids=[f"{plant.__name__} {use.__name__}" for plant, use in ATTACKS])
def test_what_another_user_has_put_there_first_is_refused(
    shared: Path, plant: Callable[[Path], None], use: Callable[[Path], None]
) -> None:
    # Given what another user made, before this one's first command, in a folder that both can write
    before = os.umask(0)
    try:
        as_user(NOBODY, lambda: plant(shared))
    finally:
        os.umask(before)
    planted = sorted((path, path.lstat().st_uid) for path in shared.rglob("*") if path.name != "mine")
    assert planted and {uid for _, uid in planted} == {NOBODY}
    # When this one's command uses it / Then it is refused, and nothing is written there
    with pytest.raises((RefusedError, ConfigError)) as caught:
        use(shared)
    assert caught.value.hint
    assert sorted((path, path.lstat().st_uid) for path in shared.rglob("*") if path.name != "mine") == planted


def test_an_own_folder_in_a_shared_one_cannot_be_replaced(shared: Path) -> None:
    project.below(shared / ".rtp" / "cdk")

    def replace() -> str:
        try:
            (shared / ".rtp").rename(shared / "aside")
        except PermissionError as error:
            return str(error.strerror)
        return "replaced"

    assert as_user(NOBODY, replace) == "Operation not permitted"


@pytest.mark.parametrize(
    ("owner", "is_used"), [(ORDINARY, True), (0, True), (NOBODY, False)], ids=["own", "root's", "another user's"]
)
def test_an_ordinary_user_uses_own_settings_and_root_s_and_no_others(shared: Path, owner: int, is_used: bool) -> None:
    place = shared / "shop"
    place.mkdir(mode=0o755)
    (place / "rtp.toml").write_text('project = "shop"\n')
    for path in (place, place / "rtp.toml"):
        os.chown(path, owner, owner)
    (shared / "other").mkdir(mode=0o755)
    (shared / "other" / "rtp.toml").write_text('project = "other"\n')
    resolve(shared / "other")  # so that the child imports nothing

    def use() -> list[str]:
        try:
            resolve(place)
        except RtpError as error:
            return [error.code, error.message]
        return []

    answer = as_user(ORDINARY, use)
    assert (answer == []) is is_used
    assert is_used or (answer[0] == "untrusted" and "belongs to another user" in answer[1])
