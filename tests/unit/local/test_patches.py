"""The catalogue of patches, and what happens where one does not apply."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rtp.fastpath import SWITCH
from rtp.local.patches import deferred
from rtp.local.patches.catalogue import PATCHES
from rtp.local.patches.install import MADE_FOR, PatchError, install
from rtp.local.patches.patch import WITHOUT, MismatchError, Patch, replace, require
from rtp.local.telemetry import Telemetry

ROOT = Path(__file__).parents[3]
MODULES = ROOT / "rtp" / "local" / "patches"
INSTALLED = """
from ministack.services import dynamodb
from rtp.local.patches import deferred
from rtp.local.patches.install import install_all
from rtp.local.telemetry import Telemetry
before = dynamodb._parse_partiql, dynamodb.copy
install_all(Telemetry())
print(dynamodb._parse_partiql is before[0], dynamodb.copy is before[1], not deferred._on_load)
"""


def functions(file: str) -> set[str]:
    return {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_patch_module_is_in_the_catalogue() -> None:
    modules = {path.stem for path in MODULES.glob("*.py")} - {"__init__", "catalogue", "install", "patch"}
    assert {patch.name for patch in PATCHES} == modules
    assert len(PATCHES) == len(modules)


def test_every_patch_has_a_row_and_its_test_exists() -> None:
    page = (ROOT / "docs" / "patches.md").read_text()
    assert re.findall(r"^\| `(\w+)` ", page, re.MULTILINE) == [patch.name for patch in PATCHES]
    for patch in PATCHES:
        file, _, name = patch.test.partition("::")
        assert name in functions(file), patch.test
        assert patch.engine
        assert "|" not in patch.aws + patch.engine


def test_the_version_is_the_one_that_is_pinned() -> None:
    assert f'"ministack=={MADE_FOR}"' in (ROOT / "pyproject.toml").read_text()


def test_cloudformation_is_the_one_that_the_patches_are_written_for() -> None:
    assert deferred.fingerprint() == deferred.FINGERPRINT, f"adapt the patches, then set {deferred.fingerprint()}"


@pytest.mark.parametrize(
    "error", [AttributeError("no _x"), KeyError("SendMessage"), ImportError("no module"), TypeError()]
)
def test_a_patch_that_meets_another_engine_is_named_whatever_it_raises(error: Exception) -> None:
    def fail(_: Telemetry) -> None:
        raise error

    with pytest.raises(PatchError) as caught:
        install([Patch("first", "", "", "", fail)], Telemetry())
    assert caught.value.reasons == {"first": f"{type(error).__name__}: {error}"}


def test_all_patches_that_do_not_apply_are_reported() -> None:
    # Given an engine whose function takes something else, and one without it
    def old(queue: str) -> None: ...

    engine: Any = SimpleNamespace(__name__="engine", old=old)
    installed: list[str] = []

    def patch(name: str, act: Any) -> Patch:
        return Patch(name, "", "", "", lambda _: act())

    patches = [
        patch("changed", lambda: replace(engine, "old", print, "queue limit")),
        patch("missing", lambda: require(engine, "gone", "old")),
        patch("fine", lambda: installed.append("fine")),
    ]
    # When / Then each is named with the difference
    with pytest.raises(PatchError) as caught:
        install(patches, Telemetry())
    assert caught.value.reasons == {
        "changed": "engine.old takes (queue) and not (queue limit)",
        "missing": "engine has no gone",
    }
    assert engine.old is old
    # And one that is left out is not tried
    with pytest.raises(PatchError, match=r"^missing: "):
        install(patches, Telemetry(), {"changed"})


def test_a_replaced_function_is_returned() -> None:
    engine: Any = SimpleNamespace(__name__="engine", old=len)
    assert replace(engine, "old", print, "obj") is len
    assert engine.old is print
    with pytest.raises(MismatchError, match="engine has no other"):
        replace(engine, "other", print, "")


@pytest.mark.parametrize(("slow", "left_out"), [("", "False False False"), ("1", "True True True")])
def test_speed_patches_are_left_out_with_slow_paths(slow: str, left_out: str, tmp_path: Path) -> None:
    environ = os.environ | {SWITCH: slow}
    run = subprocess.run(
        [sys.executable, "-c", INSTALLED], capture_output=True, text=True, check=False, cwd=tmp_path, env=environ
    )
    assert run.stdout.strip() == left_out, run.stderr


def test_an_unknown_name_to_leave_out_is_an_error(tmp_path: Path) -> None:
    environ = os.environ | {WITHOUT: "queues,quees"}
    run = subprocess.run(
        [sys.executable, "-c", INSTALLED], capture_output=True, text=True, check=False, cwd=tmp_path, env=environ
    )
    assert "PatchError: quees: RTP_LOCAL_WITHOUT names it, and there is no such patch" in run.stderr


def test_the_engine_s_end_waits_for_a_load_and_begins_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferred, "_is_ending", threading.Event())
    has_written = threading.Event()

    def load() -> None:
        time.sleep(0.2)
        has_written.set()

    threading.Thread(target=load, name=deferred._LOADER).start()

    deferred.end()

    assert has_written.is_set()
    assert deferred._is_ending.wait(0)  # the loader waits for this instead of sleeping
