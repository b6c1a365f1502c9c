"""Who may know what. The rules are data; one reader of the syntax trees and one child interpreter check them."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rtp"

# Part of the house -> the parts it may import beside itself. A part is a module or package directly below rtp/.
LEAVES = {"contract", "errors", "sanitize", "suggest", "view", "settings", "plain", "times", "config", "configfile"}
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "__main__": {"cli"},
    "contract": set(),
    "errors": set(),
    "sanitize": set(),
    "view": set(),
    "settings": set(),
    "plain": {"sanitize", "times"},
    "times": {"errors"},
    "config": {"configfile", "contract", "errors", "settings"},
    "configfile": {"errors", "settings"},
    "fit": {"view"},
    "suggest": {"view"},
    "drawing": {"fit", "sanitize", "view"},
    "queries": {"errors"},
    "output": {"drawing", "errors", "plain", "queries", "sanitize", "suggest", "view"},
    "cli": {"__init__", "errors", "output", "commands", "suggest"},
    # Of the runtime, aws knows the numbers of items and the message contract, infra the message contract alone.
    "aws": {"__init__", "contract", "errors", "plain", "suggest", "times", "runtime"},
    "infra": {"__init__", "config", "contract", "errors", "settings", "plain", "suggest", "runtime"},
    "ops": {"__init__", "aws", "infra", "runtime", *LEAVES},  # of the runtime: the rules of an event, and processors
    "commands": {"__init__", "aws", "local", "ops", "output", *LEAVES},
    "local": {"__init__", "errors", "plain", "suggest", "times", "contract"},
    "runtime": {"__init__"},
}

# Third party -> the only parts (or modules) that may import it.
ONLY_IN: dict[str, set[str]] = {
    "typer": {"cli", "commands"},
    "rich": {"output", "drawing"},
    "boto3": {"aws", "runtime"},
    "botocore": {"aws", "runtime"},
    "aws_cdk": {"infra"},
    "constructs": {"infra"},
    "cdk_nag": {"infra"},
    "ministack": {"local"},
    "hypercorn": {"local"},
    "regex": {"local"},
    "aws_xray_sdk": {"runtime.tracing"},
    "jmespath": {"queries"},
    "simplejson": {"plain"},
}

HEAVY = {
    "boto3",
    "botocore",
    "aws_cdk",
    "jsii",
    "rich",
    "ministack",
    "hypercorn",
    "regex",
    "aws_xray_sdk",
    "simplejson",
}


@dataclass(frozen=True)
class Import:
    module: str
    target: str
    line: int

    @property
    def part(self) -> str:
        return self.module.removeprefix("rtp.").split(".")[0] if self.module != "rtp" else "__init__"


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[dotted.removesuffix(".__init__")] = path
    return found


def imports() -> list[Import]:
    found = []
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found += [Import(module, alias.name, node.lineno) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{module}:{node.lineno} is a relative import"
                base = node.module or ""
                # `from rtp import times` and `from rtp.runtime import wire` name modules;
                # `from rtp.errors import RtpError` names something in one.
                inner = base in ("rtp", "rtp.runtime")
                found += [Import(module, f"{base}.{a.name}" if inner else base, node.lineno) for a in node.names]
    return found


def test_every_part_has_its_rule() -> None:
    parts = {p.stem if p.is_file() else p.name for p in PACKAGE.iterdir() if p.suffix == ".py" or p.is_dir()}
    assert parts - {"__pycache__"} == set(MAY_IMPORT)


def test_parts_import_only_what_they_may_know() -> None:
    wrong = []
    for found in imports():
        if found.target.split(".")[0] != "rtp":
            continue
        target = found.target.removeprefix("rtp.").split(".")[0]
        target = "__init__" if target.startswith("__") or target == "rtp" else target
        if target != found.part and target not in MAY_IMPORT[found.part]:
            wrong.append(f"{found.module}:{found.line} imports rtp.{target}")
    assert wrong == []


def test_the_message_contract_is_all_that_the_stack_imports_of_the_runtime() -> None:
    of_runtime = {found.target for found in imports() if found.part == "infra" and "rtp.runtime" in found.target}
    of_wire = {found.target.split(".")[0] for found in imports() if found.module == "rtp.runtime.wire"}
    assert of_runtime == {"rtp.runtime.wire"}
    assert of_wire <= sys.stdlib_module_names


def test_third_parties_are_known_where_they_belong() -> None:
    wrong = []
    for found in imports():
        allowed = ONLY_IN.get(found.target.split(".")[0])
        inner = found.module.removeprefix("rtp.")
        if allowed is not None and not any(inner == a or inner.startswith(f"{a}.") for a in allowed):
            wrong.append(f"{found.module}:{found.line} imports {found.target}")
    assert wrong == []


def test_no_command_goes_through_a_shell_and_nothing_is_patched() -> None:
    wrong = []
    for path in [*PACKAGE.rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "shell":
                wrong.append(f"{path.relative_to(ROOT)}:{node.value.lineno} gives shell=")
            if isinstance(node, ast.ImportFrom) and node.module == "unittest.mock":
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} imports unittest.mock")
    assert wrong == []


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """What importing each module alone loads, asked of a fork each of one bare child interpreter."""
    script = """
import importlib, json, os, sys
names, heavy = json.loads(sys.argv[1]), set(json.loads(sys.argv[2]))
for name in names:
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
            print(json.dumps([name, sorted(heavy & {m.split('.')[0] for m in sys.modules})]), flush=True)
        except BaseException as error:
            print(json.dumps([name, ['failed: ' + repr(error)]]), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""
    # Constructs subclass aws_cdk's; a module that imported one of them would be caught loading it.
    constructs = {i.module for i in imports() if i.target.split(".")[0] in ("aws_cdk", "constructs", "cdk_nag")}
    names = [m for m in modules() if m != "rtp.__main__" and m not in constructs]
    argv = [sys.executable, "-c", script, json.dumps(names), json.dumps(sorted(HEAVY))]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [name for name, _ in rows] == names, done.stderr
    return {name: set(what) for name, what in rows}


def test_importing_a_module_loads_nothing_heavy(loaded: dict[str, set[str]]) -> None:
    # simplejson is a few milliseconds and what every answer is written with; the runtime does without.
    wrong = {
        name: extra
        for name, what in loaded.items()
        if (extra := sorted(what - (set() if name.startswith("rtp.runtime") else {"simplejson"})))
    }
    assert wrong == {}


@pytest.mark.parametrize("argv", [["--version"], ["--help"], ["nonsense"]])
def test_the_cheap_commands_load_no_aws(argv: list[str]) -> None:
    script = (
        "import sys, json\nfrom rtp.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "sys.stderr.write('\\n' + json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", script, *argv], capture_output=True, text=True, timeout=60, check=True)
    names = set(json.loads(done.stderr.splitlines()[-1]))
    allowed = {"rich"} if argv == ["--help"] else {"rich", "simplejson"} if argv == ["nonsense"] else set()
    assert names & HEAVY <= allowed
