"""A watch does not deploy without end where each deploy writes a file that it watches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rtp.commands.watch_loop import _ROUNDS, _OwnFiles
from rtp.config import Environment

if TYPE_CHECKING:
    from pathlib import Path


def with_extension(root: Path) -> Environment:
    """A project whose extension reads `stamp.txt`, which it writes itself, as the last synthesis noted."""
    (root / "infra.py").write_text("")
    folder = root / ".rtp" / "cdk" / "local"
    folder.mkdir(parents=True, mode=0o700)
    for each in (root / ".rtp", root / ".rtp" / "cdk", folder):
        each.chmod(0o700)
    mark = folder / "rtp.json"
    mark.write_text(json.dumps({"inputs": {"files:stamp.txt": "1", "files:rates.py": "2"}}))
    mark.chmod(0o600)
    return Environment(name="local", root=root, file=root / "rtp.toml", extend=root / "infra.py")


def test_a_file_that_each_synthesis_writes_is_watched_no_longer(tmp_path: Path) -> None:
    environment, own = with_extension(tmp_path), _OwnFiles()
    stamp = str(tmp_path / "stamp.txt")
    assert [own.after([stamp], environment) for _ in range(_ROUNDS - 1)] == [frozenset()] * (_ROUNDS - 1)
    assert own.after([stamp], environment) == {stamp}
    assert own.ignored == {stamp}


def test_saves_of_people_are_no_files_of_a_synthesis(tmp_path: Path) -> None:
    environment, own = with_extension(tmp_path), _OwnFiles()
    stamp, module, other = (str(tmp_path / name) for name in ("stamp.txt", "rates.py", "processors.py"))
    for _ in range(3 * _ROUNDS):
        for files in ([stamp], [stamp, other], [module]):
            assert own.after(files, environment) == frozenset()
    assert own.ignored == frozenset()
