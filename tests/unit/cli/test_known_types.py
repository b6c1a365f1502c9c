"""The types that the user's code declares, and a `--type` that is not among them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from rtp.commands import known_types
from rtp.commands.session import Session
from rtp.config import Environment, Overrides
from rtp.infra import declared
from rtp.infra.packing import Sources
from rtp.terminal.output import Output

if TYPE_CHECKING:
    from pathlib import Path

CODE = """
import rtp.runtime
from rtp.runtime import processor
import refunds

CREATED = "order.created"

@processor(CREATED)
def created(event): ...

@rtp.runtime.processor(type="order.paid", data=dict)
def paid(event): ...
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "processors.py").write_text(CODE)
    (tmp_path / "refunds.py").write_text("from rtp.runtime import processor\n\nprocessor('order.refunded')(print)\n")
    return tmp_path


def said(root: Path, kind: str | None, code: str = "processors.py") -> str:
    stderr = io.StringIO()
    session = Session(Overrides(), Output(stderr=stderr))
    environment = Environment(name="local", root=root, file=root / "rtp.toml", processors=root / code)
    session.__dict__["environment"] = environment
    known_types.warn_unknown(session, kind)
    return stderr.getvalue()


def test_a_filter_by_a_mistyped_type_that_found_nothing_names_the_nearest(project: Path) -> None:
    stderr = io.StringIO()
    session = Session(Overrides(), Output(stderr=stderr))
    session.__dict__["environment"] = Environment(
        name="local", root=project, file=project / "rtp.toml", processors=project / "processors.py"
    )
    known_types.warn_nothing_found(session, "order.paid", "order.creatd", None)
    warning, *others = stderr.getvalue().splitlines()
    assert "no processor for 'order.creatd'" in warning and "order.created" in warning
    assert others == [] and "stored unchanged" not in warning


def test_every_packed_module_counts_and_constants_are_read(project: Path) -> None:
    types = declared.types(Sources(project / "processors.py", project))
    assert types == frozenset({"order.created", "order.paid", "order.refunded"})


@pytest.mark.parametrize("text", ["PREFIX + 'x'", "f'{PREFIX}.x'", "UNKNOWN"])
def test_a_type_that_is_computed_leaves_all_of_them_unknown(project: Path, text: str) -> None:
    (project / "processors.py").write_text(f"{CODE}\nprocessor({text})(print)\n")
    assert declared.types(Sources(project / "processors.py", project)) is None
    assert said(project, "order.creatd") == ""


def test_a_mistyped_type_is_met_with_the_nearest_one(project: Path) -> None:
    text = said(project, "order.creatd")
    assert "no processor for 'order.creatd' in processors.py" in text and "Did you mean 'order.created'?" in text
    assert "Did you mean" not in said(project, "zebra") and "no processor for 'zebra'" in said(project, "zebra")
    assert said(project, "order.refunded") == said(project, None) == ""


def test_code_that_cannot_be_read_does_not_stop_a_send(project: Path) -> None:
    assert said(project, "order.creatd", code="nowhere.py") == ""
    (project / "processors.py").write_text("def broken(:\n")
    assert said(project, "order.creatd") == ""
