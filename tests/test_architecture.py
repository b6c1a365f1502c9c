"""Who may know what. The rules are data; one reader of the syntax trees and one child interpreter check them."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests import trees

pytestmark = trees.READS_ALL
ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rtp"

# A part is a module or package directly below rtp/; each may import itself and these others. `text` is what any part
# may use to read and write text: times, JSON, sanitised strings, commands to paste, and the shapes `terminal` draws.
LEAVES = {"contract", "errors", "fastpath", "text", "trust", "config"}
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "__main__": {"cli"},
    "contract": set(),
    "errors": set(),
    "fastpath": set(),
    "text": {"errors", "runtime"},  # of the runtime: the list of hidden characters
    "trust": {"errors", "text"},
    "config": {"contract", "errors", "trust"},
    "terminal": {"errors", "fastpath", "text"},
    "cli": {"__init__", "errors", "terminal", "commands", "text"},
    # Of the runtime, aws knows the numbers of items and the message contract, infra the message contract alone.
    "aws": {"__init__", "contract", "errors", "fastpath", "text", "runtime"},
    "infra": {
        "__init__",
        "config",
        "contract",
        "errors",
        "text",
        "trust",
        "runtime",
    },
    "ops": {"__init__", "aws", "infra", "runtime", *LEAVES},  # of the runtime: the rules of an event, and processors
    "commands": {"__init__", "aws", "local", "ops", "terminal", *LEAVES},
    "local": {"__init__", "errors", "fastpath", "text", "trust", "contract"},
    "runtime": {"__init__"},
}

# The modules of config, from the bottom up: the declaration of every key, an environment ("": the package itself), the
# reading of a file with its errors, and environments, which puts these together. The stack knows no file.
CONFIG: dict[str, set[str]] = {
    "permissions": set(),
    "secret_sources": set(),
    "settings": {"permissions", "secret_sources"},
    "setting_table": {"settings"},
    "tables": {"settings", "setting_table"},
    "": {"settings"},
    "reading": {"secret_sources", "settings", "tables", "setting_table"},
    "function_checks": {"permissions", "secret_sources", "settings"},
    "checks": {"", "function_checks"},
    "code_paths": {"", "reading"},
    "environments": {"", "checks", "reading", "secret_sources", "settings", "tables", "setting_table"},
}
CONFIG_OF_INFRA = {"", "permissions", "secret_sources", "settings", "setting_table"}

# The rooms of ops, from the bottom up: each may import itself, the modules directly in ops/, and the rooms named here.
# `stack.steps` is what a stack operation yields, `stack.operation` what it acts on and has begun; `stack` holds the
# operations that put the rooms below it together.
ROOMS: dict[str, set[str]] = {
    "work": set(),
    "access": {"work"},
    "events": {"work"},
    "keys": {"events", "work"},
    "dlq": {"access", "events", "work"},
    "stack.build": {"work"},
    "stack.compare": {"access", "work"},
    "capacity": {"work"},
    "rehearse": {"dlq", "events", "stack.build", "work"},
    "stack.steps": {"stack.compare"},
    "stack.operation": {"access"},
    "stack.code": {"stack.build", "stack.operation", "stack.steps", "work"},
    "stack.apply": {
        "access", "events", "stack.build", "stack.code", "stack.compare", "stack.operation", "stack.steps", "work"
    },
    "stack.teardown": {
        "access", "dlq", "events", "keys", "stack.apply", "stack.build", "stack.code", "stack.compare",
        "stack.operation", "stack.steps", "work"
    },
    "telemetry": {"access", "dlq", "events", "keys", "stack.compare", "stack.teardown", "work"},
    "triage": {"dlq", "events", "stack.apply", "telemetry", "work"},
    "drill": {"access", "dlq", "events", "telemetry", "work"},
    "stack": {
        "access", "capacity", "stack.apply", "stack.build", "stack.code", "stack.compare", "stack.operation",
        "stack.steps", "stack.teardown", "work"
    },
}  # fmt: skip

# Third party -> the only parts (or modules) that may import it.
ONLY_IN: dict[str, set[str]] = {
    "typer": {"cli", "commands", "terminal.parsers"},
    "rich": {"terminal"},
    "boto3": {"aws", "runtime"},
    "botocore": {"aws", "runtime", "local.models", "local.weather"},
    "aws_cdk": {"infra"},
    "constructs": {"infra"},
    "ministack": {"local"},
    "hypercorn": {"local"},
    "regex": {"local"},
    "aws_xray_sdk": {"runtime.xray"},
    "jmespath": {"text.bounded", "text.queries"},
    "re2": {"text.regexes"},
    "watchfiles": {"ops.stack.code.watch"},
    "simplejson": {"text.json_values"},
}

HEAVY = {
    "boto3",
    "botocore",
    "aws_cdk",
    "jsii",
    "rich",
    "ministack",
    "hypercorn",
    "re2",
    "regex",
    "aws_xray_sdk",
    "simplejson",
    "watchfiles",
    "anyio",
}

ALL: set[str] = set()

# What makes threads or pauses. Of ops, commands and aws only ops.work may use it. The runtime in Lambda and the engine
# in rtp.local are programs of their own.
CONCURRENCY = {
    "concurrent": ALL,
    "multiprocessing": ALL,
    "asyncio": ALL,
    "threading": {"Thread", "Timer"},
    "time": {"sleep"},
}


@dataclass(frozen=True)
class Import:
    module: str
    target: str
    line: int
    names: tuple[str, ...] = ()

    @property
    def part(self) -> str:
        return self.module.removeprefix("rtp.").split(".")[0] if self.module != "rtp" else "__init__"


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[dotted.removesuffix(".__init__")] = path
    return found


@cache
def imports() -> list[Import]:
    found = []
    for module, path in modules().items():
        for node in trees.nodes(path):
            if isinstance(node, ast.Import):
                found += [Import(module, alias.name, node.lineno) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{module}:{node.lineno} is a relative import"
                base = node.module or ""
                # `from rtp import times` and `from rtp.runtime import wire` name modules;
                # `from rtp.errors import RtpError` names something in one.
                inner = base in ("rtp", "rtp.runtime")
                found += [
                    Import(module, f"{base}.{a.name}" if inner else base, node.lineno, (a.name,)) for a in node.names
                ]
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
    of_text = {found.target for found in imports() if found.part == "text" and "rtp.runtime" in found.target}
    of_list = {found.target.split(".")[0] for found in imports() if found.module == "rtp.runtime.characters"}
    assert of_runtime == {"rtp.runtime.wire"}
    assert of_text == {"rtp.runtime.characters"}
    assert of_list <= sys.stdlib_module_names
    assert of_wire <= sys.stdlib_module_names


def test_declaration_reading_and_environments_of_the_settings_are_apart() -> None:
    known = modules()
    wrong = []
    for found in imports():
        # `from rtp.config import Environment` needs the package alone, `from rtp.config import reading` a module of it.
        names = {f"{found.target}.{name}" for name in found.names} & set(known) or {found.target}
        for target in {name.removeprefix("rtp.config").removeprefix(".") for name in names if "rtp.config" in name}:
            here = found.module.removeprefix("rtp.config").removeprefix(".")
            allowed = CONFIG[here] if found.part == "config" else CONFIG_OF_INFRA if found.part == "infra" else CONFIG
            if target not in allowed:
                wrong.append(f"{found.module}:{found.line} imports {target}")
    assert wrong == []
    assert {m.removeprefix("rtp.config").removeprefix(".") for m in known if m.startswith("rtp.config")} == set(CONFIG)


def room(module: str) -> str | None:
    """The room of ops that a module is in; None for the modules directly in ops/ and for other parts."""
    inner = module.removeprefix("rtp.ops.") if module.startswith("rtp.ops.") else ""
    return next((r for r in sorted(ROOMS, key=len, reverse=True) if inner == r or inner.startswith(f"{r}.")), None)


def test_the_rooms_of_ops_import_only_the_rooms_below_them() -> None:
    known = modules()
    wrong = []
    for found in imports():
        here = room(found.module)
        # `from rtp.ops.stack import steps` names a module, `from rtp.ops.stack.steps import Phase` what is in one.
        for target in {found.target, *(f"{found.target}.{name}" for name in found.names)} & set(known):
            there = room(target)
            face = known[target].name == "__init__.py"
            if here is not None and there not in (None, here) and there not in ROOMS[here] and not face:
                wrong.append(f"{found.module}:{found.line} imports {target}")
    assert wrong == []
    assert {room(m) for m in known if m.startswith("rtp.ops.")} - {None} == set(ROOMS)


def test_no_rooms_import_each_other_in_a_circle() -> None:
    order: list[str] = []
    while left := [r for r in ROOMS if r not in order]:
        free = [r for r in left if ROOMS[r] <= set(order)]
        assert free, f"a circle among {left}"
        order += free


def test_aws_is_called_by_typed_functions_alone() -> None:
    """Above rtp.aws nobody names an operation of a service: what goes in and comes out has a type of rtp's own."""
    wrong = []
    for module, path in modules().items():
        if not module.startswith(("rtp.ops.", "rtp.commands.")):
            continue
        for node in trees.nodes(path):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            name = ast.unparse(node.func)
            raw = name.split(".")[-2:-1] in (["aws"], ["_aws"]) and node.func.attr in ("call", "pages")
            if raw or node.func.attr == "client":
                wrong.append(f"{module}:{node.lineno} calls {name}")
    assert wrong == []


_AWS_FACT = re.compile(r"AWS::[A-Za-z0-9]+::[A-Za-z0-9]+|[A-Z]+_(IN_PROGRESS|COMPLETE|FAILED)|StackStatus|StackId")


def test_statuses_and_resource_types_are_named_in_aws_alone() -> None:
    """What a status of CloudFormation means and what a type of it holds are asked of rtp.aws."""
    wrong = []
    for module, path in modules().items():
        if not module.startswith(("rtp.ops.", "rtp.commands.")):
            continue
        for node in trees.nodes(path):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _AWS_FACT.fullmatch(node.value):
                wrong.append(f"{module}:{node.lineno} names {node.value}")
    assert wrong == []


def test_no_modules_of_ops_and_commands_import_each_other_in_a_circle() -> None:
    """Imports for the type checker alone count, too."""
    known = modules()
    below: dict[str, set[str]] = {m: set() for m in known if m.startswith(("rtp.ops", "rtp.commands"))}
    for found in imports():
        for target in {found.target, *(f"{found.target}.{name}" for name in found.names)} & set(below):
            if found.module in below and target != found.module:
                below[found.module].add(target)
    while free := [m for m, targets in below.items() if not targets & set(below)]:
        for module in free:
            del below[module]
    assert below == {}


def test_threads_pools_and_pauses_are_made_in_ops_work_alone() -> None:
    wrong = []
    for module, path in modules().items():
        if not module.startswith(("rtp.ops", "rtp.commands", "rtp.aws")) or module.startswith("rtp.ops.work"):
            continue
        if module == "rtp.ops.rehearse.child":  # a program of its own
            continue
        for node in trees.nodes(path):
            used: list[tuple[str, str]]
            if isinstance(node, ast.Import):
                used = [(alias.name, "") for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                used = [(node.module or "", alias.name) for alias in node.names]
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                used = [(node.value.id, node.attr)]
            else:
                continue
            for source, name in used:
                banned = CONCURRENCY.get(source.partition(".")[0])
                if banned is not None and (banned is ALL or name in banned):
                    wrong.append(f"{module}:{node.lineno} uses {source}.{name}")
    assert wrong == []


def test_what_threads_decode_has_a_decoder_of_its_module() -> None:
    """Of two threads that use a type for the first time, msgspec lets one use what the other has not finished."""
    wrong = []
    for module, path in modules().items():
        if not module.startswith(("rtp.ops", "rtp.commands", "rtp.aws")):
            continue
        for node in trees.nodes(path):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("msgspec.json.decode", "msgspec.convert"):
                wrong.append(f"{module}:{node.lineno}: make a msgspec.json.Decoder when the module is loaded")
    assert wrong == []


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
        for node in trees.nodes(path):
            if isinstance(node, ast.keyword) and node.arg == "shell":
                wrong.append(f"{path.relative_to(ROOT)}:{node.value.lineno} gives shell=")
            if isinstance(node, ast.ImportFrom) and node.module == "unittest.mock":
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} imports unittest.mock")
    assert wrong == []


# Imports each module of a list. Prints what each module imported while its own body ran, and which failed.
OBSERVER = """
import builtins, importlib, json, sys
names, edges, failed, real = json.loads(sys.argv[1]), {}, {}, builtins.__import__

def observed(name, globals=None, locals=None, fromlist=(), level=0):
    module = real(name, globals, locals, fromlist, level)
    frame = sys._getframe(1)
    while frame and (frame.f_code.co_name != "<module>" or frame.f_code.co_filename == "<string>"):
        frame = frame.f_back
    package = (globals or {}).get("__package__") or ""
    parents = package.split(".")[: len(package.split(".")) - level + 1] if level else []
    base = ".".join([*parents, *filter(None, [name])])
    if frame:
        new = (each for each in (base, *(f"{base}.{each}" for each in fromlist or ())) if each in sys.modules)
        edges.setdefault(frame.f_globals["__name__"], set()).update(new)
    return module

builtins.__import__ = observed
for name in names:
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed[name] = repr(error)
print(json.dumps([{name: sorted(found) for name, found in edges.items()}, failed]))
"""
# Imports each module of a list in a fork of its own, and prints which failed.
ALONE = """
import importlib, os, sys
for name in sys.argv[1:]:
    if os.fork() == 0:
        importlib.import_module(name)
        os._exit(0)
    if os.wait()[1]:
        print(name)
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """What each module, of rtp or another, imports in its own body; observed in one child interpreter."""
    # Constructs subclass aws_cdk's; a module that imported one of them would be caught loading it.
    constructs = {i.module for i in imports() if i.target.split(".")[0] in ("aws_cdk", "constructs")}
    names = [m for m in modules() if m != "rtp.__main__" and m not in constructs]
    argv = [sys.executable, "-c", OBSERVER, json.dumps(names)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=1800, check=True)
    edges, failed = json.loads(done.stdout)
    assert failed == {}
    return {name: set(edges.get(name, ())) for name in {*edges, *names}}


def loads(module: str, imported: dict[str, set[str]]) -> set[str]:
    """All that the import of a module loads, with the packages that each is in."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += [*imported.get(name, ()), *([name.rpartition(".")[0]] if "." in name else [])]
    return seen


@pytest.mark.slow
def test_importing_a_module_loads_nothing_heavy(imported: dict[str, set[str]]) -> None:
    # simplejson is a few milliseconds and what every answer is written with; the runtime does without.
    wrong = {}
    for name in modules():
        allowed = set() if name.startswith("rtp.runtime") else {"simplejson"}
        heavy = HEAVY & {each.split(".")[0] for each in loads(name, imported)} - allowed
        if name in imported and heavy:
            wrong[name] = sorted(heavy)
    assert wrong == {}


@pytest.mark.slow
def test_modules_that_import_each_other_can_each_be_the_first(imported: dict[str, set[str]]) -> None:
    circles = [n for n in imported if n.startswith("rtp") and any(n in loads(i, imported) for i in imported[n])]
    argv = [sys.executable, "-c", ALONE, *sorted(circles)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout == "", done.stderr


@pytest.mark.parametrize("argv", [["--version"], ["--help"], ["nonsense"]])
def test_the_cheap_commands_load_no_aws(argv: list[str]) -> None:
    script = (
        "import sys, json\nfrom rtp.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "sys.stderr.write('\\n' + json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", script, *argv], capture_output=True, text=True, timeout=99, check=True)
    names = set(json.loads(done.stderr.splitlines()[-1]))
    allowed = {"rich", "simplejson"} if argv == ["nonsense"] else set()
    assert names & HEAVY <= allowed
