"""What `make mutants` found: the share of mutants that a test or the types notice, by module, and each that none does.

usage: python -m checks.mutants [FOLDER]     FOLDER: mutmut's, `mutants` by default

checks/explained_mutants.toml lists those that no test is to notice, with the reason. Exits with 1 where a module is
below the goal.
"""

from __future__ import annotations

import ast
import difflib
import json
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

GOAL = 95  # percent
EXPLAINED = Path(__file__).with_name("explained_mutants.toml")
_SURVIVED, _NO_TEST = 0, 33  # exit codes of pytest that mutmut records
_NOT_RUN = None


class Module(NamedTuple):
    """The mutants of one module. survivors: the unexplained ones, by name, with the lines that they change."""

    path: str
    total: int
    explained: int
    survivors: dict[str, str]

    @property
    def share(self) -> int:
        """Percent of the mutants that are noticed or explained, rounded down."""
        return 100 * (self.total - len(self.survivors)) // self.total if self.total else 100


def main(argv: list[str]) -> int:
    """Print the table and the survivors. Returns the exit code."""
    folder = Path(argv[0] if argv else "mutants")
    explained = {
        (one["path"], one["function"], one["change"]) for one in tomllib.loads(EXPLAINED.read_text())["mutant"]
    }
    modules = [module for file in sorted(folder.rglob("*.py.meta")) if (module := _read(folder, file, explained)).total]
    if not modules:
        print(f"{folder} holds no mutants that were run; `make mutants` makes them.", file=sys.stderr)
        return 2
    for module in modules:
        noticed = f"{module.share:>3} % noticed or explained ({module.explained})"
        print(f"{module.path:<40} {module.total:>5} mutants  {noticed}")
    for module in modules:
        for name, change in module.survivors.items():
            print(f"\n{module.path} {name}\n{change}")
    return int(any(module.share < GOAL for module in modules))


def _read(folder: Path, meta: Path, explained: set[tuple[str, str, str]]) -> Module:
    codes = json.loads(meta.read_text())["exit_code_by_key"]
    run = {name: code for name, code in codes.items() if code is not _NOT_RUN}
    path = str(meta.relative_to(folder).with_suffix(""))
    changes = _changes((folder / path).read_text()) if run else {}
    names = [name.rpartition(".")[2] for name, code in run.items() if code in (_SURVIVED, _NO_TEST)]
    survivors = {name: changes.get(name, "") for name in names}
    unexplained = {
        name: change for name, change in survivors.items() if (path, _function(name), _new(change)) not in explained
    }
    return Module(path, len(run), len(survivors) - len(unexplained), unexplained)


def _function(name: str) -> str:
    """The function of a mutant: `take` of `x_take__mutmut_3`; of a method `Class.take`."""
    return name.removeprefix("x_").removeprefix("x").rpartition("__mutmut_")[0].strip("ǁ").replace("ǁ", ".")


def _new(change: str) -> str:
    """The line that a mutant has instead, as explained_mutants.toml names it."""
    return " ".join(line[1:].strip() for line in change.splitlines() if line.startswith("+"))


def _changes(source: str) -> dict[str, str]:
    """What each mutant changes: its function's name -> the lines that differ."""
    functions = {node.name: node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
    changes: dict[str, str] = {}
    for name, node in functions.items():
        original = functions.get(f"{name.rpartition('__mutmut_')[0]}__mutmut_orig")
        if original is not None and original is not node:
            lines = difflib.unified_diff(_body(original), _body(node), lineterm="", n=0)
            changes[name] = "\n".join(line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---"))
    return changes


def _body(function: ast.FunctionDef) -> list[str]:
    return ast.unparse(function).splitlines()[1:]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
