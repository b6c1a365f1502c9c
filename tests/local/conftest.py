"""The embedded engine for a whole test session: its own folder, its own port, stopped at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rtp.local import engine as engines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def engine_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project folder that the engine belongs to."""
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="session")
def engine(engine_root: Path) -> Iterator[engines.Engine]:
    """A running engine on a free port."""
    running = engines.start(engine_root)
    yield running
    engines.stop(engine_root)
