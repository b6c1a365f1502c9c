"""Which tests run in one worker, so that what they share (a deployed pipeline, synthesised templates) is made once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests import assemblies, shells

HERE = Path(__file__).parent
# Fixtures that take seconds to make and that tests share -> the group of the tests that use them; None: one group for
# each module, whose tests then share one of their own. Tests that use none of them go to whichever worker is free.
SHARED: dict[str, str | None] = {
    "templates": "infra",
    "shared_rig": "reliability",
    "deployed": None,
    "pipeline_project": None,
    "own_pipeline": None,
    "engine": None,
    "make_lab": None,
    "made": None,
    "endpoint_url": None,
    "lasting": None,
    "shared": None,
    "strict": None,
    "built": None,
    "imported": None,
    "guarded": None,
}
# The suites whose tests take longest come first, so that at the end no worker is left alone with a long one.
FIRST = ("local/guide", "reliability", "local/deploy", "local/events", "local", "infra")


settings.register_profile("suite", deadline=None)  # no test fails for being slow
settings.load_profile("suite")

# A shell ignores SIGINT for what it runs in the background, and every child would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in this hook, too
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        used = [name for name in SHARED if name in getattr(item, "fixturenames", ())]
        if used and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(SHARED[used[0]] or _place(item)))
    items.sort(key=_turn)  # within a suite pytest's order is kept


def _place(item: pytest.Item) -> str:
    return os.path.relpath(item.path, HERE)


def _turn(item: pytest.Item) -> int:
    place = _place(item)
    return next((n for n, suite in enumerate(FIRST) if place.startswith(f"{suite}/")), len(FIRST))


@pytest.fixture(scope="session", autouse=True)
def shared_assemblies(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One folder for all workers of a run."""
    own = tmp_path_factory.getbasetemp()
    assemblies.use((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "assemblies")


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> shells.Shell:
    """A shell to paste what rtp prints into; it notes what would have run."""
    return shells.made(tmp_path_factory.mktemp("shell"))
