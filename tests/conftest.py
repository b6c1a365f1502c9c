"""Which tests run in one worker, so that what they share (a deployed pipeline, synthesised templates) is made once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests import assemblies, shells

HERE = Path(__file__).parent
SHARING = (
    "infra",
    "local/deploy",
    "local/engine",
    "local/events",
    "local/guide",
    "local/runtime",
    "local/watch",
    "reliability",
)


settings.register_profile("suite", deadline=None)  # no test fails for being slow
settings.load_profile("suite")

# A shell ignores SIGINT for what it runs in the background, and every child would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        place = item.path.relative_to(HERE).as_posix()
        group = next((name for name in SHARING if place.startswith(f"{name}/")), None)
        if group is not None and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(group))
    # The long ones first, so that no worker is left alone with one at the end; pytest's order is kept within.
    items.sort(key=lambda item: not item.path.is_relative_to(HERE / "local"))


@pytest.fixture(scope="session", autouse=True)
def shared_assemblies(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One folder for all workers of a run."""
    own = tmp_path_factory.getbasetemp()
    assemblies.use((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "assemblies")


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> shells.Shell:
    """A shell to paste what rtp prints into; it notes what would have run."""
    return shells.made(tmp_path_factory.mktemp("shell"))
