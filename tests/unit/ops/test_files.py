"""Files at paths that the user names: replaced whole or not at all, devices and pipes written into, links kept."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rtp.errors import ExitCode, RtpError
from rtp.ops import files

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def device(place: Path, minor: int) -> Path:
    """A device node of this test's own: 3 is null, 7 is full. The machine's own nodes are never risked."""
    node = place / f"device-{minor}"
    try:
        os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        node.open("wb").close()
    except OSError:
        pytest.skip("no device can be made here")
    return node


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def refused(file: Path) -> RtpError:
    """The one error that check and write agree on."""
    with pytest.raises(RtpError) as first:
        files.check(file)
    with pytest.raises(RtpError) as second:
        files.write(file, "new", private=False)
    assert first.value.message == second.value.message
    assert (first.value.exit_code, first.value.code) == (ExitCode.FAILED, "file-not-writable")
    return first.value


def test_a_new_file_has_the_usual_mode_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    files.check(file)
    assert list(tmp_path.iterdir()) == []
    files.write(file, "one", private=False)
    assert (file.read_text(), mode(file)) == ("one", 0o644)
    file.chmod(0o664)
    files.write(file, "two", private=False)
    assert (file.read_text(), mode(file)) == ("two", 0o664)
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_private_is_readable_by_the_user_alone_whatever_was_there(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    files.write(file, "new", private=True)
    assert mode(file) == 0o600
    file.chmod(0o666)
    with file.open() as reader:  # somebody who opened it while everybody could
        files.write(file, "secret", private=True)
        assert reader.read() == "new"
    assert (file.read_text(), mode(file)) == ("secret", 0o600)


@pytest.mark.parametrize("minor", [3, 7])
def test_a_device_is_written_into_and_stays_a_device(tmp_path: Path, minor: int) -> None:
    # Given a private null or full device, which root could replace
    node = device(tmp_path, minor)
    before = node.stat()
    # When
    files.check(node)
    if minor == 7:
        with pytest.raises(RtpError, match="No space left on device") as caught:
            files.write(node, "new", private=True)
        assert caught.value.exit_code == ExitCode.FAILED
    else:
        files.write(node, "new", private=True)
    # Then
    after = node.stat()
    assert stat.S_ISCHR(after.st_mode)
    assert (after.st_ino, after.st_rdev, after.st_mode) == (before.st_ino, before.st_rdev, before.st_mode)
    assert list(tmp_path.iterdir()) == [node]


def test_a_pipe_is_written_into_and_stays_a_pipe(tmp_path: Path) -> None:
    # Given a reader of a named pipe
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    files.check(pipe)  # does not wait for a reader, and is no end of file to one
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    # When
    files.write(pipe, "x" * 100_000, private=True)
    # Then
    reader.join(60)
    assert [len(text) for text in read] == [100_000]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    # Given links to a file elsewhere, over each other, and to a device
    (tmp_path / "there").mkdir()
    target, link, second = tmp_path / "there" / "out.json", tmp_path / "link", tmp_path / "second"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(Path("there/out.json"))
    second.symlink_to(link)
    # When
    files.check(second)
    files.write(second, "new", private=False)
    # Then
    assert (target.read_text(), mode(target)) == ("new", 0o640)
    assert link.is_symlink() and second.is_symlink()
    assert not target.is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "second", "there"]


def test_a_dangling_link_makes_its_target(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "there" / "new")
    files.check(link)
    assert list((tmp_path / "there").iterdir()) == []
    files.write(link, "new", private=True)
    assert link.is_symlink()
    assert (tmp_path / "there" / "new").read_text() == "new"
    # and where its folder is missing, that is said
    lost = tmp_path / "lost"
    lost.symlink_to(tmp_path / "nowhere" / "new")
    assert str(tmp_path / "nowhere") in refused(lost).message
    assert lost.is_symlink()


def test_no_draft_can_be_foreseen(tmp_path: Path) -> None:
    # Given links at the draft's names of earlier versions, to a file that matters
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in (".out.json.new", "out.json.new", ".rtp-", f"out.json.{os.getpid()}.new"):
        (folder / name).symlink_to(victim)
    # When
    files.check(folder / "out.json")
    files.write(folder / "out.json", "new", private=False)
    # Then
    assert victim.read_text() == "mine"
    assert (folder / "out.json").read_text() == "new"
    assert (folder / ".out.json.new").is_symlink()


def test_what_cannot_be_written_is_found_before_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    said = {
        "Is a directory": tmp_path,
        f"There is no folder {tmp_path / 'missing'}": tmp_path / "missing" / "out.json",
        "Not a directory": tmp_path / "file" / "out.json",
        "symbolic links": loop,
        "File name too long": tmp_path / ("x" * 300),
    }
    for why, file in said.items():
        assert why in refused(file).message
        assert str(file) in refused(file).message
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "loop"]
    assert (tmp_path / "file").read_text() == "old"


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root may write everything, so it becomes somebody else for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_a_file_or_folder_that_is_read_only_is_refused() -> None:
    with without_privileges(), tempfile.TemporaryDirectory() as own:
        folder = Path(own)
        (folder / "file").write_text("old")
        (folder / "file").chmod(0o444)
        assert "Permission denied" in refused(folder / "file").message
        folder.chmod(0o500)
        assert "Permission denied" in refused(folder / "new").message
        folder.chmod(0o700)
        assert (folder / "file").read_text() == "old"


def test_a_socket_is_neither_replaced_nor_written(tmp_path: Path) -> None:
    import socket

    place = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.bind(str(place))
        except OSError:
            pytest.skip("the folder's name is too long for a socket")
        refused(place)
        assert stat.S_ISSOCK(place.stat().st_mode)


def test_an_error_or_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    # Given a file, and a name whose longest draft would not fit when made of it
    file = tmp_path / ("x" * 255)
    file.write_text("old")
    files.write(file, "new", private=False)
    assert file.read_text() == "new"
    # When the disk is full for one process, and when it is interrupted in the middle
    script = """
import os, resource, signal, sys
from pathlib import Path
from rtp.ops import files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
if sys.argv[2] == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
else:
    real = os.fsync
    os.fsync = lambda handle: (real(handle), os.kill(os.getpid(), signal.SIGINT))
files.write(Path(sys.argv[1]), "y" * 100_000, private=False)
"""
    for how, said in (("full", "File too large"), ("interrupted", "KeyboardInterrupt")):
        done = subprocess.run(
            [sys.executable, "-c", script, str(file), how], capture_output=True, text=True, timeout=60, check=False
        )
        # Then
        assert done.returncode != 0 and said in done.stderr
        assert file.read_text() == "new"
        assert list(tmp_path.iterdir()) == [file]


def test_standard_output_is_written_where_it_stands(tmp_path: Path) -> None:
    # Given a program whose standard output is a file with text in it, a pipe, or a descriptor that a shell names
    script = (
        "import sys\nfrom pathlib import Path\nfrom rtp.ops import files\n"
        "print('before')\nfiles.check(Path(sys.argv[1]))\nfiles.write(Path(sys.argv[1]), 'page\\n', private=True)\n"
        "print('after')\n"
    )
    out = tmp_path / "out"
    out.write_text("first\n")
    link = tmp_path / "link"
    link.symlink_to("/dev/stdout")
    inode = out.stat().st_ino
    for name in ("/dev/stdout", "/dev/fd/1", str(link)):
        argv = [sys.executable, "-c", script, name]
        with out.open("ab") as stdout:
            assert subprocess.run(argv, stdout=stdout, timeout=60, check=False).returncode == 0
        piped = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
        assert piped.stdout == "before\npage\nafter\n"
    # Then
    assert out.read_text() == "first\n" + 3 * "before\npage\nafter\n"
    assert out.stat().st_ino == inode
    assert link.is_symlink()
    read, write = os.pipe()
    argv = [sys.executable, "-c", script, f"/dev/fd/{write}"]
    subprocess.run(argv, pass_fds=(write,), stdout=subprocess.DEVNULL, timeout=60, check=True)
    os.close(write)
    with os.fdopen(read) as stream:
        assert stream.read() == "page\n"


def test_a_descriptor_that_is_closed_or_only_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with (tmp_path / "file").open() as reader:
        number = reader.fileno()
        assert "reading only" in refused(Path(f"/dev/fd/{number}")).message
    assert "Bad file descriptor" in refused(Path(f"/dev/fd/{number}")).message
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes others' files")
def test_root_leaves_a_file_to_its_owner_unless_it_is_private(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    os.chown(file, 65534, 65534)
    files.write(file, "new", private=False)
    assert file.stat().st_uid == 65534
    files.write(file, "secret", private=True)
    assert (file.stat().st_uid, mode(file)) == (0, 0o600)


def test_a_new_file_is_made_only_where_nothing_is(tmp_path: Path) -> None:
    assert files.create(tmp_path / "new", "text")
    assert not files.create(tmp_path / "new", "other")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    assert not files.create(link, "text")
    assert not (tmp_path / "elsewhere").exists()
    assert (tmp_path / "new").read_text() == "text"
