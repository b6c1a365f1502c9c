"""The syntax trees of modules, for tests that check rules over them.

A module is parsed once in a process, and these tests run in one worker: to read all of rtp takes seconds.
"""

from __future__ import annotations

import ast
import gc
from functools import cache
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

READS_ALL = pytest.mark.xdist_group("trees")


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of a module in the order of `ast.walk`, the module first. Tests do not change them."""
    found = tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    gc.freeze()  # they stay, and no collection need visit them
    return found


def tree(path: Path) -> ast.Module:
    """The tree of a module."""
    module = nodes(path)[0]
    assert isinstance(module, ast.Module)
    return module
