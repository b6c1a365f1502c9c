"""Which of the user's files go into the zip, and what is said of those that do not."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from rtp.errors import ConfigError
from rtp.infra import assets, packing
from rtp.infra.packing import Sources

if TYPE_CHECKING:
    from pathlib import Path


def write(root: Path, path: str, text: str = "") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def names(root: Path, path: str = "processors.py", **options: tuple[str, ...]) -> list[str]:
    return [name for name, _ in packing.select(Sources(root / path, root, **options)).entries]


def notes(root: Path, path: str = "processors.py", **options: tuple[str, ...]) -> list[str]:
    return packing.select(Sources(root / path, root, **options)).notes


def test_modules_and_packages_beside_the_processors_are_packed_when_they_are_imported(tmp_path: Path) -> None:
    # Given modules that import each other, one inside a function, and others that nobody imports
    write(tmp_path, "processors.py", "import money\nfrom shop.rates import RATES\n")
    write(tmp_path, "money.py", "def tax():\n    import helpers.deep\n")
    write(tmp_path, "helpers/deep.py", "import processors\n")
    write(tmp_path, "helpers/names.json", "{}")
    write(tmp_path, "shop/__init__.py")
    write(tmp_path, "shop/rates.py")
    write(tmp_path, "shop/rates.csv")
    write(tmp_path, "infra.py")
    write(tmp_path, "scripts/load.py")
    # Then
    assert names(tmp_path) == [
        "helpers/deep.py",
        "helpers/names.json",
        "money.py",
        "processors.py",
        "shop/__init__.py",
        "shop/rates.csv",
        "shop/rates.py",
    ]


def test_a_module_that_is_imported_by_its_name_as_a_text_is_packed(tmp_path: Path) -> None:
    write(tmp_path, "processors.py", "import importlib\nimportlib.import_module('plug.one')\n")
    write(tmp_path, "plug/one.py")
    assert names(tmp_path) == ["plug/one.py", "processors.py"]


def test_data_files_that_the_code_names_are_packed(tmp_path: Path) -> None:
    text = "from pathlib import Path\nHERE = Path(__file__).parent\nHERE / 'data' / 'rates.json', HERE / 'tax.csv'\n"
    write(tmp_path, "processors.py", text)
    for path in ("data/rates.json", "data/other.json", "tax.csv", "payload.json"):
        write(tmp_path, path)
    assert names(tmp_path) == ["data/rates.json", "processors.py", "tax.csv"]


def test_a_source_folder_is_packed_whole_with_its_modules_at_the_root(tmp_path: Path) -> None:
    for path in ("src/processors.py", "src/money.py", "src/data/rates.json", "src/tests/test_money.py"):
        write(tmp_path, path)
    assert names(tmp_path, "src") == ["data/rates.json", "money.py", "processors.py"]
    assert assets.module(Sources(tmp_path / "src", tmp_path)) == "processors"


def test_a_source_folder_without_a_module_for_the_processors_is_refused(tmp_path: Path) -> None:
    for path in ("src/orders.py", "src/money.py"):
        write(tmp_path, path)
    with pytest.raises(ConfigError, match="2 modules") as refused:
        assets.module(Sources(tmp_path / "src", tmp_path))
    assert "`path`" in refused.value.hint


def test_globs_add_and_take_away(tmp_path: Path) -> None:
    for path in ("processors.py", "data/a.json", "data/b.json", "shop/__init__.py", "shop/draft.py"):
        write(tmp_path, path)
    write(tmp_path, "processors.py", "import shop\n")
    found = names(tmp_path, include=("data/*.json",), exclude=("data/b.json", "shop/draft.py"))
    assert found == ["data/a.json", "processors.py", "shop/__init__.py"]


def test_linked_folders_and_files_are_followed_inside_the_project(tmp_path: Path) -> None:
    write(tmp_path, "shop/__init__.py")
    write(tmp_path, "common/rates.py")
    (tmp_path / "shop" / "common").symlink_to(tmp_path / "common", target_is_directory=True)
    (tmp_path / "shop" / "again.py").symlink_to(tmp_path / "common" / "rates.py")
    (tmp_path / "shop" / "itself").symlink_to(tmp_path / "shop", target_is_directory=True)
    assert names(tmp_path, "shop") == ["shop/__init__.py", "shop/again.py", "shop/common/rates.py"]


def test_links_out_of_the_project_are_not_followed_and_are_named(tmp_path: Path) -> None:
    write(tmp_path, "project/shop/__init__.py")
    write(tmp_path, "elsewhere/secret.txt")
    (tmp_path / "project" / "shop" / "out").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    root = tmp_path / "project"
    assert names(root, "shop") == ["shop/__init__.py"]
    assert notes(root, "shop") == [
        f"shop/out leads out of the project, to {tmp_path / 'elsewhere'}, and is not packed."
    ]


def test_no_name_leads_out_of_the_zip(tmp_path: Path) -> None:
    write(tmp_path, "elsewhere/secret.txt")
    write(tmp_path, "project/data/a.txt")
    write(
        tmp_path,
        "project/processors.py",
        "FILES = 'data/../../elsewhere/secret.txt', 'data/../../elsewhere', 'data', 'a.txt'",
    )
    root = tmp_path / "project"
    assert names(root) == ["data/a.txt", "processors.py"]
    assert names(root, include=("../elsewhere/*", "data/../../elsewhere/*")) == ["data/a.txt", "processors.py"]


def test_a_broken_link_is_named_with_its_fix(tmp_path: Path) -> None:
    write(tmp_path, "shop/__init__.py")
    (tmp_path / "shop" / "rates.json").symlink_to("gone.json")
    with pytest.raises(ConfigError, match=r"rates\.json is a link that leads nowhere") as refused:
        names(tmp_path, "shop")
    assert "exclude" in refused.value.hint
    assert names(tmp_path, "shop", exclude=("shop/rates.json",)) == ["shop/__init__.py"]


@pytest.mark.parametrize("leftover", [".#x.py", "#x.py#", "x.py~", ".x.py.swp", "4913", "__pycache__/x.pyc"])
def test_what_editors_and_interpreters_leave_is_not_packed(tmp_path: Path, leftover: str) -> None:
    write(tmp_path, "shop/__init__.py")
    place = tmp_path / "shop" / leftover
    place.parent.mkdir(exist_ok=True)
    place.symlink_to("ops@host.42:1")  # a lock of Emacs; the others are as harmless as links to nowhere
    assert names(tmp_path, "shop") == ["shop/__init__.py"]
    assert notes(tmp_path, "shop") == []


def test_what_is_no_regular_file_is_named_and_does_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "shop/__init__.py")
    os.mkfifo(tmp_path / "shop" / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)  # a socket's path may be 100 characters long
        listener.bind("shop/sock")
    assert names(tmp_path, "shop") == ["shop/__init__.py"]
    assert [note.split()[0] for note in notes(tmp_path, "shop")] == ["shop/pipe", "shop/sock"]


KEY = "-----BEGIN RSA PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".env", "TOKEN=x"),
        (".env.local", "TOKEN=x"),
        ("deploy.pem", KEY),
        ("server.key", KEY),
        ("id_ed25519", ""),
        ("store.p12", ""),
        (".aws/credentials", ""),
        (".netrc", ""),
    ],
)
def test_secrets_are_never_packed_unless_they_are_named(tmp_path: Path, path: str, text: str) -> None:
    write(tmp_path, "src/processors.py")
    write(tmp_path, f"src/{path}", text)
    # Then it stays here, and is named
    assert names(tmp_path, "src") == ["processors.py"]
    assert any("looks like a secret and is not packed" in note for note in notes(tmp_path, "src"))
    # When it is asked for / Then it is packed, and named again
    assert names(tmp_path, "src", include=(path,)) == sorted([path, "processors.py"])
    assert any("is packed, since `include` names it" in note for note in notes(tmp_path, "src", include=(path,)))


def test_certificates_without_a_key_are_packed(tmp_path: Path) -> None:
    write(tmp_path, "src/processors.py")
    write(tmp_path, "src/ca.pem", "-----BEGIN CERTIFICATE-----\n")
    assert names(tmp_path, "src") == ["ca.pem", "processors.py"]


def test_environments_repositories_and_tests_are_not_packed(tmp_path: Path) -> None:
    write(tmp_path, "src/processors.py")
    for path in ("venv/pyvenv.cfg", "venv/lib/x.py", "node_modules/x.py", ".git/config", "tests/x.py", "test_x.py"):
        write(tmp_path, f"src/{path}")
    assert names(tmp_path, "src") == ["processors.py"]


def test_a_module_is_not_hidden_by_one_that_cannot_be_read(tmp_path: Path) -> None:
    write(tmp_path, "processors.py", "import broken\n")
    write(tmp_path, "broken.py", "def (:\n")
    assert names(tmp_path) == ["broken.py", "processors.py"]
    with pytest.raises(ConfigError, match=r"broken\.py:1"):
        assets.check(Sources(tmp_path / "processors.py", tmp_path))
