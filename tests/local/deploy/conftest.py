"""A pipeline that these tests may change as they like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rtp.local import engine as engines
from tests.local import deployments
from tests.local.conftest import Project

if TYPE_CHECKING:
    from collections.abc import Iterator

PROCESSORS = """\
from rtp.runtime import processor


@processor("n")
def answer(event):
    return {"version": 1}
"""
SETTINGS = '[processors]\npath = "processors.py"\n'
STACK = "realtime-processor-local"


def reset(project: Project) -> None:
    """The files as they were; the next deploy brings the stack back."""
    (project.root / "rtp.toml").write_text(SETTINGS)
    (project.root / "processors.py").write_text(PROCESSORS)


@pytest.fixture(scope="session")
def own_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    made = Project(tmp_path_factory.mktemp("own"))
    reset(made)
    deployments.deploy(made)
    yield made
    engines.stop(made.root)


@pytest.fixture
def pipeline(own_pipeline: Project) -> Project:
    """Deployed from the original files, whatever an earlier test did."""
    reset(own_pipeline)
    own_pipeline.rtp("deploy", "--yes")
    return own_pipeline
