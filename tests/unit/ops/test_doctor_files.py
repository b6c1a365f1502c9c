"""doctor finds what is older or more open than it should be, and journals expire."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from rtp.config import Environment
from rtp.ops import doctor_files
from rtp.ops.doctor import Verdict
from rtp.ops.journal_store import EXPIRY_DAYS, JournalFiles

if TYPE_CHECKING:
    from pathlib import Path

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
LONG_AGO = time.time() - (EXPIRY_DAYS + 1) * 86_400


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    (tmp_path / ".rtp").mkdir(mode=0o700)
    (tmp_path / "rtp.toml").write_text("")
    (tmp_path / "rtp.toml").chmod(0o644)
    return Environment(name="dev", project="shop", root=tmp_path, file=tmp_path / "rtp.toml")


def test_a_private_project_is_in_order(environment: Environment) -> None:
    assert doctor_files.access(environment).verdict is Verdict.OK
    assert doctor_files.age(environment).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("name", "mode"), [(".rtp", 0o755), (".rtp", 0o710), (".env.local", 0o640), ("rtp.toml", 0o646)]
)
def test_what_is_open_to_others_is_named_with_the_fix(environment: Environment, name: str, mode: int) -> None:
    path = environment.root / name
    if not path.exists():
        path.write_text("TOKEN=x")
    path.chmod(mode)
    check = doctor_files.access(environment)
    assert check.verdict is Verdict.WARN
    assert str(path) in check.detail
    assert "chmod" in check.fix


@pytest.mark.parametrize("kind", ["send", "dlq", "replay", "drill"])
def test_a_journal_with_old_messages_is_named(environment: Environment, kind: str) -> None:
    store = JournalFiles(environment.state / kind / "dev")
    store.begin("old", b"{}\n", durable=False)
    os.utime(store.where("old"), (LONG_AGO, LONG_AGO))
    check = doctor_files.age(environment)
    assert check.verdict is Verdict.WARN
    assert store.where("old") in check.detail


def test_the_next_run_deletes_expired_journals_and_keeps_the_order(tmp_path: Path) -> None:
    store = JournalFiles(tmp_path)
    for name in ("first", "second", "third"):
        store.begin(name, b'{"body": "card 4111"}\n', durable=False)
    for name in ("first", "second"):
        os.utime(store.where(name), (LONG_AGO, LONG_AGO))
    store.begin("fourth", b"{}\n", durable=True)
    assert store.runs() == ["third", "fourth"]
    for name in ("third", "fourth"):
        os.utime(store.where(name), (LONG_AGO, LONG_AGO))
    store.begin("fifth", b"{}\n", durable=True)
    store.begin("sixth", b"{}\n", durable=True)
    assert store.runs() == ["fifth", "sixth"]
    assert "4111" not in "".join(path.read_text() for path in tmp_path.iterdir())


def test_what_is_in_the_folder_is_named_where_others_can_write_it(environment: Environment) -> None:
    layer = environment.state / "layers" / "layer-1.zip"
    layer.parent.mkdir(mode=0o700)
    layer.touch()
    layer.chmod(0o666)
    check = doctor_files.access(environment)
    assert check.verdict is Verdict.WARN
    assert f"{layer} can be written by every user" in check.detail
    assert f"rm -r {layer}" in check.fix


@as_root
def test_what_another_user_wrote_in_the_folder_is_named(environment: Environment) -> None:
    layer = environment.state / "layers" / "layer-1.zip"
    layer.parent.mkdir(mode=0o700)
    layer.touch(0o600)
    os.chown(layer, 65534, 65534)
    check = doctor_files.access(environment)
    assert check.verdict is Verdict.WARN
    assert f"{layer} belongs to another user" in check.detail


def test_journals_behind_a_link_are_named_and_not_read(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "dev").mkdir(parents=True)
    (environment.state / "dlq").symlink_to("../elsewhere")
    for check in (doctor_files.access(environment), doctor_files.age(environment)):
        assert check.verdict is Verdict.WARN
        assert f"{environment.state / 'dlq'} is a link" in check.detail
        assert "rm " in check.fix
