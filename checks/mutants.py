"""What `make mutants` found: the share of mutants that a test or the types notice, by module, and each that none does.

usage: python -m checks.mutants [FOLDER]     FOLDER: mutmut's, `mutants` by default

Exits with 1 where a module is below the goal.
"""

from __future__ import annotations

import ast
import difflib
import json
import sys
from pathlib import Path
from typing import NamedTuple

GOAL = 95  # percent
_SURVIVED, _NO_TEST = 0, 33  # exit codes of pytest that mutmut records
_NOT_RUN = None


class Module(NamedTuple):
    """The mutants of one module. survivors: their names."""

    path: str
    total: int
    survivors: list[str]

    @property
    def share(self) -> int:
        """Percent of the mutants that are noticed, rounded down."""
        return 100 * (self.total - len(self.survivors)) // self.total if self.total else 100


def main(argv: list[str]) -> int:
    """Print the table and the survivors. Returns the exit code."""
    folder = Path(argv[0] if argv else "mutants")
    modules = [module for file in sorted(folder.rglob("*.py.meta")) if (module := _read(folder, file)).total]
    if not modules:
        print(f"{folder} holds no mutants that were run; `make mutants` makes them.", file=sys.stderr)
        return 2
    for module in modules:
        print(f"{module.path:<40} {module.total:>5} mutants  {module.share:>3} % noticed")
    for module in modules:
        changes = _changes((folder / module.path).read_text())
        for name in module.survivors:
            print(f"\n{module.path} {name}\n{changes.get(name, '')}")
    return int(any(module.share < GOAL for module in modules))


def _read(folder: Path, meta: Path) -> Module:
    codes = json.loads(meta.read_text())["exit_code_by_key"]
    run = {name: code for name, code in codes.items() if code is not _NOT_RUN}
    survivors = [name.rpartition(".")[2] for name, code in run.items() if code in (_SURVIVED, _NO_TEST)]
    return Module(str(meta.relative_to(folder).with_suffix("")), len(run), survivors)


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
