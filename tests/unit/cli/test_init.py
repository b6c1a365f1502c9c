"""What `rtp init` writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from rtp.config import DEFAULT_PROJECT
from rtp.config.environments import resolve
from rtp.errors import ConfigError, RefusedError
from rtp.infra import assets, declared
from rtp.ops import project_tests
from rtp.ops.scaffold import project_files, project_name, write
from rtp.ops.scaffold_examples import EXAMPLES, Name
from rtp.ops.stack.build import processors

if TYPE_CHECKING:
    from pathlib import Path


def test_a_new_folder_gets_a_project_that_resolves(tmp_path: Path) -> None:
    scaffolded = write(tmp_path / "Shop 1")
    assert sorted(scaffolded.written) == sorted(project_files("shop", EXAMPLES[Name.ORDERS]))
    environment = resolve(cwd=tmp_path / "Shop 1", environ={})
    assert environment.project == "shop-1"
    assert environment.processors is not None
    for payload in (tmp_path / "Shop 1" / "payloads").iterdir():
        assert json.loads(payload.read_text())["type"] == "order.created"


@pytest.mark.parametrize("name", ["tests", ".github", "payloads"])
def test_nothing_is_written_through_a_link(tmp_path: Path, name: str) -> None:
    # Given a folder, such as a cloned repository, with a link where a folder of the project would be
    folder, elsewhere = tmp_path / "shop", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / name).symlink_to(elsewhere)
    # When, Then
    with pytest.raises(RefusedError, match="is a link to") as caught:
        write(folder)
    assert caught.value.code == "folder-is-link"
    assert not list(elsewhere.iterdir()) and [path.name for path in folder.iterdir()] == [name]
    # And a file that is a link is kept
    (folder / name).unlink()
    (folder / "README.md").symlink_to(elsewhere / "new")
    assert "README.md" in write(folder).kept and not list(elsewhere.iterdir())


@pytest.mark.parametrize("name", ["app.py", "pyproject.toml"])
def test_a_pipe_among_the_code_holds_nobody_up(tmp_path: Path, name: str) -> None:
    (tmp_path / "code.py").write_text("from rtp.runtime import processor\n@processor('a')\ndef f(event): ...\n")
    os.mkfifo(tmp_path / name)
    assert write(tmp_path).adopted == "code.py"


@pytest.mark.parametrize("text", ["-" * 100_000 + "1", "a" + "+a" * 100_000, "(" * 5000, "\0"], ids=range(4))
def test_code_that_python_cannot_read_is_a_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "deep.py").write_text(f"from rtp.runtime import processor\nx = {text}\n")
    write(tmp_path)
    (tmp_path / "processors.py").write_text(f"x = {text}\n")
    environment = resolve(cwd=tmp_path, environ={})
    sources = processors.sources_of(environment)
    assert sources is not None
    assert declared.types(sources) is None
    with pytest.raises(ConfigError, match=r"processors\.py"):
        assets.check(sources)


def test_existing_files_are_kept(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine\n")
    scaffolded = write(tmp_path)
    assert scaffolded.kept == ["README.md"]
    assert (tmp_path / "README.md").read_text() == "mine\n"
    assert write(tmp_path).written == []


MINE = "from rtp.runtime import processor\n\n\n@processor('a.b')\ndef a(event): ...\n"


@pytest.mark.parametrize(
    ("files", "path", "requirements"),
    [
        ({"handlers.py": MINE}, "handlers.py", None),
        ({"shop/__init__.py": "", "shop/orders/__init__.py": "", "shop/orders/new.py": MINE}, "shop", None),
        ({"src/shop/__init__.py": MINE, "uv.lock": ""}, "src/shop", "uv.lock"),
        ({"processors.py": "mine = 1\n", "requirements.txt": ""}, "processors.py", "requirements.txt"),
        ({"a.py": MINE, "pyproject.toml": "[project]\ndependencies = ['httpx']\n"}, "a.py", "pyproject.toml"),
        ({"a.py": MINE, "pyproject.toml": "[tool.x]\n"}, "a.py", None),
    ],
    ids=["module", "package", "source folder", "undeclared", "project", "tools alone"],
)
def test_a_folder_with_code_is_adopted(
    tmp_path: Path, files: dict[str, str], path: str, requirements: str | None
) -> None:
    # Given a folder with code, tests and an environment
    noise = {"tests/test_a.py": MINE, "lib/pyvenv.cfg": "", "lib/x.py": MINE, "node_modules/x.py": MINE}
    for name, text in (files | noise).items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / ".gitignore").write_text("*.pyc\n.env*")
    # When it is adopted
    done = write(tmp_path)
    # Then rtp.toml names the code, nothing of the example is written, and no file of the folder has changed
    assert (done.adopted, done.requirements, done.others, done.payload) == (path, requirements, [], None)
    assert done.written == ["rtp.toml", ".github/workflows/rtp.yml"]
    environment = resolve(cwd=tmp_path, environ={})
    assert environment.processors == tmp_path / path
    assert environment.requirements == (tmp_path / requirements if requirements else None)
    assert all((tmp_path / name).read_text() == text for name, text in files.items())
    # But git ignores what it must not have
    assert done.added == [".gitignore"]
    assert (tmp_path / ".gitignore").read_text() == "*.pyc\n.env*\n.rtp/\n__pycache__/\n"
    assert "payloads" not in (tmp_path / ".github/workflows/rtp.yml").read_text()


def test_a_folder_whose_code_declares_no_processor_gets_the_example_with_its_packages(tmp_path: Path) -> None:
    (tmp_path / "money.py").write_text("def tax(): ...\n")
    (tmp_path / "requirements.txt").write_text("httpx\n")
    done = write(tmp_path)
    assert (done.adopted, done.requirements) == (None, "requirements.txt")
    assert "processors.py" in done.written
    assert resolve(cwd=tmp_path, environ={}).requirements == tmp_path / "requirements.txt"


def test_further_files_with_processors_are_named(tmp_path: Path) -> None:
    for name in ("a.py", "b.py", "processors.py"):
        (tmp_path / name).write_text(MINE)
    done = write(tmp_path)
    assert (done.adopted, done.others) == ("processors.py", ["a.py", "b.py"])


@pytest.mark.parametrize(
    ("folder", "project"),
    [
        ("shop", "shop"),
        ("My Shop!", "my-shop"),
        ("2026-orders", "orders"),
        ("日本", DEFAULT_PROJECT),
        ("a" * 40, "a" * 20),
    ],
)
def test_the_project_is_named_after_its_folder(folder: str, project: str) -> None:
    assert project_name(folder) == project


@pytest.mark.slow
@pytest.mark.parametrize("name", Name)
def test_the_tests_of_each_example_pass_unchanged_and_its_payloads_do_what_they_say(tmp_path: Path, name: Name) -> None:
    # Given a new project / Then its tests pass, by `rtp test` and by pytest itself
    done = write(tmp_path, name)
    (tmp_path / "conftest.py").unlink()  # rtp test needs none
    tested = subprocess.run(
        [sys.executable, "-m", "rtp", "test", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    write(tmp_path, name)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    plain = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False)
    assert plain.returncode == 0, plain.stdout
    # And its events end as their names say
    for payload, code, outcome in ((done.payload, 0, "processed"), ("payloads/rejected.json", 1, "rejected")):
        argv = [sys.executable, "-m", "rtp", "run", str(payload)]
        ran = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False)
        assert (ran.returncode, ran.stdout.split()[0]) == (code, outcome), ran.stderr


@pytest.mark.slow
def test_the_tests_of_a_project_do_not_take_the_settings_of_a_folder_above(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "--no-such-option"\n')
    write(tmp_path / "shop")
    argv = [sys.executable, "-m", "rtp", "test"]
    done = subprocess.run(argv, cwd=tmp_path / "shop", capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "configfile: pyproject.toml" in done.stdout


def test_rtp_test_says_how_the_tests_ended(tmp_path: Path) -> None:
    (tmp_path / "rtp.toml").write_text('[defaults]\nenvironment = { PARTNER = "p" }\n')

    def tested(code: str) -> tuple[int, dict[str, object]]:
        (tmp_path / "test_it.py").write_text(code)
        argv = [sys.executable, "-m", "rtp", "test", "--json", "-p", "no:cacheprovider"]
        environ = os.environ | {"AWS_PROFILE": "prod", "VIRTUAL_ENV": ""}
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False, env=environ)
        return done.returncode, json.loads(done.stdout)

    checked = "(os.environ['PARTNER'], 'AWS_PROFILE' in os.environ) == ('p', False)"
    code, document = tested(f"import os\ndef test(): assert {checked}\n")
    assert (code, document["status"], document["python"]) == (0, "passed", sys.executable)
    # And the processors are loaded, which the test need not import
    (tmp_path / "shop.py").write_text(MINE.replace("...", "return 7"))
    (tmp_path / "rtp.toml").write_text('[processors]\npath = "shop.py"\n')
    code, document = tested("from rtp.runtime.testing import run\ndef test(): assert run('a.b', {}).result == 7\n")
    assert (code, document["status"]) == (0, "passed")
    code, document = tested("def test(): assert False\n")
    assert (code, document["status"], document["exit_code"]) == (1, "failed", 1)
    code, document = tested("x = 1\n")
    assert (code, document["status"]) == (4, "none")


def test_without_pytest_the_fix_is_named(tmp_path: Path) -> None:
    # Given a project whose environment has no pytest
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    # Then rtp's own interpreter runs the tests, which has it
    assert project_tests.interpreter(tmp_path, {}) == sys.executable
    # And where that has none either, the error says what to install
    with pytest.raises(ConfigError, match="pytest") as caught:
        project_tests.interpreter(tmp_path, {}, own=str(python))
    assert "pip install pytest" in caught.value.hint


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    argv = [sys.executable, "-m", "rtp", "init", str(tmp_path / "file" / "shop")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
