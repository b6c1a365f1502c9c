"""What makes a release beside the code: the layer, and the settings with which the functions run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rtp.config import Overrides
from rtp.config.environments import resolve
from rtp.ops.stack.build import shape

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = 'project = "shop"\n[processors]\npath = "app.py"\nrequirements = "needs.txt"\n[defaults]\n'


def of(root: Path, settings: str = "", needs: str = "six==1.17.0\n") -> str:
    (root / "rtp.toml").write_text(CONFIG + settings)
    (root / "app.py").write_text("")
    (root / "needs.txt").write_text(needs)
    return shape.of(resolve(Overrides(), cwd=root, environ={}))


@pytest.mark.parametrize(
    "settings",
    ["memory_mb = 1024\n", "timeout_s = 77\n", 'environment = { PARTNER_URL = "x" }\n', 'log_level = "DEBUG"\n',
     "ephemeral_storage_mb = 1024\n", "max_receive_count = 9\n"],
)  # fmt: skip
def test_a_setting_of_the_functions_makes_another_release(tmp_path: Path, settings: str) -> None:
    assert of(tmp_path, settings) != of(tmp_path)


def test_another_package_makes_another_release(tmp_path: Path) -> None:
    assert of(tmp_path, needs="six==1.16.0\n") != of(tmp_path)


@pytest.mark.parametrize(
    "settings", ["alarm_dlq_messages = 9\n", "alarm_queue_age_s = 9000\n", "log_retention_days = 7\n"]
)
def test_what_the_functions_do_not_see_makes_none(tmp_path: Path, settings: str) -> None:
    assert of(tmp_path, settings) == of(tmp_path) == of(tmp_path)
