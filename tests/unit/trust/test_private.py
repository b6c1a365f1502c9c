"""What is in `.rtp` is this user's own: links, and what others wrote or could have changed, are not used."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rtp.config import Environment
from rtp.errors import RefusedError
from rtp.infra import archive, assets
from rtp.local.state import folder
from rtp.ops import shown
from rtp.ops.access import lock
from rtp.ops.journal_store import EXPIRY_DAYS, JournalFiles
from rtp.ops.stack.build.synth import extension_paths, synth
from rtp.trust import private, project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOBODY = 65534
LONG_AGO = time.time() - (EXPIRY_DAYS + 1) * 86_400
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    project.make_state(tmp_path / ".rtp")
    return tmp_path / ".rtp"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder outside, with a journal that would be expired, and a file."""
    folder = tmp_path / "victim"
    (folder / "dev").mkdir(parents=True)
    for path in (folder / "000001-old.jsonl", folder / "dev" / "000001-old.jsonl", folder / "dev" / "000002-old.jsonl"):
        path.write_text("{}\n")
        os.utime(path, (LONG_AGO, LONG_AGO))
    return folder


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "name", ["layers", "assets", "cdk", "dlq", "replay", "cdk/dev", "dlq/dev", "layers/layer-1.zip"]
)
def test_a_link_in_the_folder_is_refused(state: Path, victim: Path, name: str) -> None:
    (state / name).parent.mkdir(exist_ok=True, mode=0o700)
    (state / name).symlink_to(victim)
    with pytest.raises(RefusedError) as caught:
        project.below(state / "cdk" / "dev")
    assert caught.value.code == "folder-is-link"
    assert str(state / name) in caught.value.message


def test_a_link_further_down_is_refused_where_it_is_used(state: Path, victim: Path) -> None:
    project.below(state / "own" / "out")
    (state / "own" / "out" / "deep").symlink_to(victim)
    with pytest.raises(RefusedError, match="is a link"):
        project.below(state / "own" / "out" / "deep" / "more")


@pytest.mark.parametrize(("link", "kind"), [("dlq", "dlq"), ("dlq/dev", "dlq"), ("replay", "replay")])
def test_journals_behind_a_link_are_neither_read_nor_written_nor_deleted(
    state: Path, victim: Path, link: str, kind: str
) -> None:
    before = contents(victim)
    (state / link).parent.mkdir(exist_ok=True, mode=0o700)
    (state / link).symlink_to(victim / "dev" if "/" in link else victim)
    store = JournalFiles(state / kind / "dev")
    for use in (store.runs, store.expired, lambda: store.begin("new", b"{}\n", durable=False)):
        with pytest.raises(RefusedError, match="is a link"):
            use()
    assert contents(victim) == before


def test_a_journal_that_is_a_link_is_refused(state: Path, victim: Path) -> None:
    store = JournalFiles(state / "dlq" / "dev")
    store.begin("one", b"{}\n", durable=False)
    (state / "dlq" / "dev" / "000002-two.jsonl").symlink_to(victim / "000001-old.jsonl")
    for use in (store.runs, lambda: store.append("two", b"{}\n", durable=False)):
        with pytest.raises(RefusedError, match="is a link"):
            use()


@pytest.mark.parametrize("name", ["deploy-dev.lock", "cdk/checked"])
def test_a_file_of_the_folder_that_is_a_link_is_not_written_through(state: Path, victim: Path, name: str) -> None:
    target = victim / "000001-old.jsonl"
    (state / name).parent.mkdir(exist_ok=True, mode=0o700)
    (state / name).symlink_to(target)
    with pytest.raises(RefusedError, match="is a link"), lock.held(state, "dev", "deploy"):
        pass
    private.write(state / name, "replaced")
    assert target.read_text() == "{}\n"
    assert not (state / name).is_symlink()


@as_root
@pytest.mark.parametrize("name", ["layers", "assets", "cdk", "dlq", "cdk/dev", "layers/layer-1"])
def test_a_folder_of_another_user_is_refused_with_the_command_that_deletes_it(state: Path, name: str) -> None:
    (state / name).mkdir(parents=True)
    os.chown(state / name, NOBODY, NOBODY)
    (state / "other").mkdir()
    (state / "other").chmod(0o777)

    with pytest.raises(RefusedError) as caught:
        synth(Environment(name="dev", root=state.parent, account="1" * 12))

    assert caught.value.code == "folder-of-another-user"
    assert "(1 more in .rtp are like it)" in caught.value.message
    assert f"rm -r {state / name} {state / 'other'}" in caught.value.hint


@as_root
def test_in_a_trusted_project_owners_say_nothing_but_links_are_refused(
    state: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTP_TRUST", str(state.parent))
    (state / "layers").mkdir()
    os.chown(state / "layers", NOBODY, NOBODY)
    project.check_state(state)
    assert private.doubt(state / "layers") == ""
    (state / "dlq").symlink_to(victim)
    with pytest.raises(RefusedError, match="is a link"):
        project.check_state(state)


@pytest.mark.parametrize(("owner", "mode"), [pytest.param(NOBODY, 0o600, marks=as_root), (os.geteuid(), 0o666)])
@pytest.mark.parametrize("what", ["archive", "digest"])
def test_a_planted_archive_with_its_digest_is_packed_again(
    state: Path, tmp_path: Path, owner: int, mode: int, what: str
) -> None:
    # Given an archive and its digest, which another user has written or can write
    source = tmp_path / "source.py"
    source.write_text("print(1)\n")
    entries = [("source.py", source)]
    packed = assets.code(state / "assets", entries)
    content = packed.read_bytes()
    packed.write_bytes(b"evil")
    archive.note_digest(packed)
    assert archive.is_intact(packed)
    changed = packed if what == "archive" else packed.with_name(f"{packed.name}.sha256")
    changed.chmod(mode)
    os.chown(changed, owner, -1)
    # When it is to be uploaded
    assert not archive.is_intact(packed)
    if owner != os.geteuid():
        with pytest.raises(RefusedError, match="belongs to another user"):
            project.check_state(state)
        os.chown(changed, os.geteuid(), -1)
        changed.chmod(0o666)
    # Then it is what is packed now
    assert assets.code(state / "assets", entries).read_bytes() == content
    assert {path.stat().st_mode & 0o777 for path in packed.parent.iterdir()} == {0o600}


def test_the_fix_of_a_folder_that_others_could_write_deletes_what_is_built_there(state: Path) -> None:
    for name in ("layers", "cdk", "dlq"):
        (state / name).mkdir(mode=0o700)
    state.chmod(0o777)
    with pytest.raises(RefusedError) as caught:
        project.check_state(state)
    assert f"rm -r {state / 'layers'} {state / 'cdk'}`" in caught.value.hint
    assert "chmod go-w" in caught.value.hint


@pytest.mark.usefixtures("no_umask")
def test_every_file_is_private_whatever_the_umask_is(state: Path, tmp_path: Path) -> None:
    source = tmp_path / "source.py"
    source.write_text("")
    environment = Environment(name="dev", project="shop", root=tmp_path, file=tmp_path / "rtp.toml")
    assets.code(state / "assets", [("source.py", source)])
    with lock.held(state, "dev", "deploy"):
        pass
    private.write(state / "checked", "digest")
    shown.remember(environment, [shown.Shown("id")])
    JournalFiles(state / "dlq" / "dev").begin("one", b"{}\n", durable=False)
    (state / "cdk" / "new").mkdir(parents=True)
    (state / "cdk" / "new" / "manifest.json").touch()
    private.close(state / "cdk")
    assert len(list(state.rglob("*"))) > 10
    for path in (state, *state.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


SPECIAL: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "socket": lambda path: bind(path),
    "device": lambda path: os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5)),  # /dev/zero, which never ends
}
special = pytest.mark.parametrize(
    "make", [pytest.param(make, marks=as_root if kind == "device" else (), id=kind) for kind, make in SPECIAL.items()]
)


@special
@pytest.mark.parametrize("name", ["deploy-dev.lock", "dlq", "dlq/dev", "layers/layer-1.zip", "shown/shop-dev.json"])
def test_what_is_no_file_is_refused_where_rtp_would_wait_at_it(
    state: Path, make: Callable[[Path], None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state / name).parent.mkdir(exist_ok=True, mode=0o700)
    with contextlib.chdir((state / name).parent):  # the name of a socket is short
        make(Path((state / name).name))
    for trusted in ("", str(state.parent)):
        monkeypatch.setenv("RTP_TRUST", trusted)
        with pytest.raises(RefusedError, match="is neither a file nor a folder") as caught:
            project.check_state(state)
        assert f"rm -r {state / name}" in caught.value.hint


@special
def test_ids_journals_locks_and_digests_are_not_read_from_what_is_no_file(
    state: Path, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    environment = Environment(name="dev", project="shop", root=tmp_path, file=tmp_path / "rtp.toml")
    for name in ("shown/shop-dev.json", "dlq/dev/000001-one.jsonl", "assets/code.zip.sha256", "cdk/dev/rtp.json"):
        (state / name).parent.mkdir(parents=True, mode=0o700)
        with contextlib.chdir((state / name).parent):
            make(Path((state / name).name))
    assert shown.recall(environment) == []
    with pytest.raises(RefusedError, match="is neither a file nor a folder"):
        JournalFiles(state / "dlq" / "dev").runs()
    (state / "assets" / "code.zip").write_text("")
    assert not archive.is_intact(state / "assets" / "code.zip")
    assert extension_paths(dataclasses.replace(environment, extend=tmp_path / "own.py")) == [tmp_path / "own.py"]
    mark = state / "cdk" / "dev" / "rtp.json"
    for use in (lambda: private.read(mark), lambda: private.opener(str(mark), os.O_WRONLY)):
        with pytest.raises(OSError):
            use()


@special
@pytest.mark.parametrize("name", ["engine.json", "port", "serving", "stopping", "lock", "stderr.log"])
def test_the_engine_s_folder_has_files_alone(tmp_path: Path, make: Callable[[Path], None], name: str) -> None:
    place = folder(tmp_path)
    place.create()
    (place.path / name).unlink(missing_ok=True)
    with contextlib.chdir(place.path):
        make(Path(name))
    with pytest.raises(RefusedError, match="is neither a file nor a folder"):
        place.check()


def test_a_file_of_rtp_is_read_up_to_its_bound(state: Path) -> None:
    private.write(state / "checked", "12345")
    assert private.read(state / "checked", 5) == "12345"
    with pytest.raises(OSError, match="too large"):
        private.read(state / "checked", 4)


def test_a_file_that_cannot_be_replaced_leaves_no_draft(state: Path) -> None:
    (state / "name").mkdir()
    with pytest.raises(OSError, match="directory"):
        private.write(state / "name", "text")
    assert sorted(path.name for path in state.iterdir()) == [".gitignore", "name"]
