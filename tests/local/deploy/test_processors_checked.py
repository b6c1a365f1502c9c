"""Processors are imported from their packed files before anything is deployed, as Lambda will import them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rtp.config import environments
from rtp.errors import ConfigError
from rtp.ops.stack.build import processors

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.ops.stack.build.processors import Doubt

START = "from rtp.runtime import processor\n"
DECLARED = "@processor('a')\ndef a(event):\n    return {}\n"


def check(root: Path, *, path: str = "processors.py", settings: str = "", memo: Path | None = None) -> Doubt | None:
    """Check a project's processors; settings: further lines of its rtp.toml."""
    (root / "rtp.toml").write_text(f'[processors]\npath = "{path}"\n{settings}')
    return processors.check(environments.resolve(cwd=root, environ={}), memo=memo)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x = 1 / 0", "ZeroDivisionError: division by zero"),
        ("print('talk'); raise SystemExit(3)", "SystemExit: 3"),
        ("import never_installed_anywhere", "No module named 'never_installed_anywhere'"),
    ],
)
def test_the_line_that_cannot_be_imported_is_named(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "processors.py"
    file.write_text(START + line + "\n")
    with pytest.raises(ConfigError) as caught:
        check(tmp_path)
    assert f"{file}:2: " in caught.value.message
    assert said in caught.value.message


def test_a_package_that_no_requirements_list_is_to_be_listed(tmp_path: Path) -> None:
    # Given a package that this interpreter has, and Lambda has not
    (tmp_path / "processors.py").write_text("import pytest\n")
    # Then
    with pytest.raises(ConfigError, match="No module named 'pytest'") as caught:
        check(tmp_path)
    assert "requirements" in caught.value.hint


def test_a_package_that_the_requirements_list_is_found_with_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "processors.py").write_text(f"import pytest\n{START}{DECLARED}")
    (tmp_path / "requirements.txt").write_text("pytest\n")
    assert check(tmp_path, settings='requirements = "requirements.txt"\n') is None


def test_a_package_that_has_no_build_for_this_interpreter_is_not_called_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    (tmp_path / "processors.py").write_text("import never_installed_anywhere\n")
    (tmp_path / "requirements.txt").write_text("never-installed-anywhere\n")
    doubt = check(tmp_path, settings='requirements = "requirements.txt"\n')
    assert doubt is not None
    assert "not checked: never_installed_anywhere" in doubt.message


def test_a_module_beside_the_processors_goes_with_them(tmp_path: Path) -> None:
    (tmp_path / "processors.py").write_text(f"import money\n{START}{DECLARED}")
    (tmp_path / "money.py").write_text("RATE = 19\n")
    assert check(tmp_path) is None


def test_a_module_that_is_not_packed_is_named_with_the_setting(tmp_path: Path) -> None:
    # Given an import that no reader of the text can see
    (tmp_path / "processors.py").write_text("import importlib\nNAME = 'mo' + 'ney'\nimportlib.import_module(NAME)\n")
    (tmp_path / "money.py").write_text("RATE = 19\n")
    # Then
    with pytest.raises(ConfigError, match="No module named 'money'") as caught:
        check(tmp_path)
    assert "`include`" in caught.value.hint
    with pytest.raises(ConfigError, match=r"processors\.py:3: "):
        check(tmp_path)


def test_a_client_at_the_top_of_a_module_has_the_region(tmp_path: Path) -> None:
    text = "import boto3, os\nboto3.client('sqs')\nassert os.environ['AWS_DEFAULT_REGION'] == 'eu-west-1'\n"
    (tmp_path / "processors.py").write_text(f"{text}{START}{DECLARED}")
    assert check(tmp_path, settings='[defaults]\nregion = "eu-west-1"\n') is None


def test_a_variable_of_the_shell_alone_is_refused_with_the_setting_that_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARTNER_URL", "https://partner.example")
    (tmp_path / "processors.py").write_text(f"import os\nURL = os.environ['PARTNER_URL']\n{START}{DECLARED}")
    with pytest.raises(ConfigError, match=r"processors\.py:2: KeyError: 'PARTNER_URL'") as caught:
        check(tmp_path)
    assert 'environment = { PARTNER_URL = "…" }' in caught.value.hint
    assert check(tmp_path, settings='[defaults]\nenvironment = { PARTNER_URL = "https://x.example" }\n') is None


def test_nothing_of_the_operator_reaches_the_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "prod")
    monkeypatch.setenv("HOME", "/home/operator")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
    text = (
        "import os, sys\nassert 'AWS_PROFILE' not in os.environ and os.environ['HOME'] != '/home/operator'\n"
        f"assert not any({str(tmp_path)!r} == path for path in sys.path), sys.path\n"
    )
    (tmp_path / "processors.py").write_text(f"{text}{START}{DECLARED}")
    assert check(tmp_path) is None


def test_processors_that_print_during_the_import_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "processors.py").write_text(f"{START}print('talk')\n{DECLARED}")
    assert check(tmp_path) is None


def test_a_file_without_a_processor_is_reported_each_time(tmp_path: Path) -> None:
    # Given a file whose author forgot to declare anything
    file, memo = tmp_path / "handlers.py", tmp_path / "memo"
    file.write_text("def a(event):\n    return {}\n")
    for _ in range(2):
        # When it is checked, with a memory / Then it is reported
        doubt = check(tmp_path, path="handlers.py", memo=memo)
        assert doubt is not None
        assert doubt.message == "handlers.py declares no processors; every event is stored unchanged"
    # When one is declared / Then all is well
    file.write_text(START + DECLARED)
    assert check(tmp_path, path="handlers.py", memo=memo) is None
