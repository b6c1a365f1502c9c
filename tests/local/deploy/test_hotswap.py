"""Code that changes past CloudFormation: --hotswap and --watch."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from queue import Empty, Queue
from typing import IO, TYPE_CHECKING

import pytest

from rtp.aws import stacks
from rtp.errors import ExitCode
from tests.local.deploy.conftest import PROCESSORS, SETTINGS, STACK, reset
from tests.local.deploy.test_deploy import code

if TYPE_CHECKING:
    from tests.local.conftest import Project


def test_a_hotswap_changes_both_functions_and_the_next_deploy_restores_the_template(pipeline: Project) -> None:
    # Given new code
    before, template = code(pipeline), stacks.template(pipeline.aws, STACK)
    (pipeline.root / "processors.py").write_text(PROCESSORS.replace("1}", "20}"))
    # When it is hotswapped
    result = pipeline.rtp("deploy", "--hotswap", "--json").lines[-1]
    # Then both functions run it, and CloudFormation does not know
    assert result["status"] == "hotswapped"
    assert code(pipeline) == code(pipeline, "processor") != before
    assert stacks.template(pipeline.aws, STACK) == template
    # When the old code is saved again, which is no change to CloudFormation
    (pipeline.root / "processors.py").write_text(PROCESSORS)
    # Then the difference is seen before it is deployed
    differs = pipeline.rtp("diff", "--fail", "--json", ok=False)
    assert differs.code == 1 and {s["what"] for s in differs.json["diverged"]} == {"code"}
    assert "runs other code than was deployed" in pipeline.rtp("diff").stdout
    assert "runs other code than was deployed" in pipeline.rtp("deploy", "--dry-run").stderr
    # When it is deployed
    done = pipeline.rtp("deploy")
    # Then the functions run the old code again, and the operator is told
    assert code(pipeline) == before and "restored" in done.stderr
    assert pipeline.rtp("diff", "--fail", "--json").json["diverged"] == []


@pytest.mark.long
def test_an_update_of_something_else_restores_the_code(pipeline: Project) -> None:
    # Given a hotswap, the old code saved again, and another setting, of which the functions know nothing
    before = code(pipeline)
    (pipeline.root / "processors.py").write_text(PROCESSORS.replace("1}", "21}"))
    pipeline.rtp("deploy", "--hotswap")
    reset(pipeline)
    (pipeline.root / "rtp.toml").write_text(SETTINGS + "[defaults]\nalarm_dlq_messages = 7\n")
    # When it is deployed / Then the functions run what the template says
    done = pipeline.rtp("deploy")
    assert "updated" in done.stderr and code(pipeline) == before


@pytest.mark.long
def test_a_hotswap_of_more_than_code_is_a_deploy(pipeline: Project) -> None:
    (pipeline.root / "rtp.toml").write_text(SETTINGS + "[defaults]\nmemory_mb = 640\n")
    lines = pipeline.rtp("deploy", "--hotswap", "--json").lines
    assert "More than code has changed" in next(line for line in lines if line["type"] == "warning")["message"]
    assert lines[-1]["status"] == "updated"


def test_a_protected_environment_has_no_hotswap(project: Project) -> None:
    (project.root / "rtp.toml").write_text("[env.local]\nprotected = true\n")
    for option in ("--hotswap", "--watch"):
        done = project.rtp("deploy", option, ok=False)
        assert done.code == 2 and "protected" in done.stderr


def test_saving_a_processor_updates_the_functions(pipeline: Project) -> None:
    # Given a watch
    before = code(pipeline)
    child = pipeline.start("deploy", "--watch", "--yes")
    try:
        assert child.stderr is not None
        said = _lines(child.stderr)
        _until(said, "watching")
        # When a processor is saved
        (pipeline.root / "processors.py").write_text(PROCESSORS.replace("1}", "30}"))
        line = _until(said, "hotswapped")
        # Then the functions run it
        assert re.search(r"processors\.py  hotswapped in \d+\.\d s; this code runs now", line)
        assert code(pipeline) != before
        # When it is broken / Then that is said, and watching goes on
        (pipeline.root / "processors.py").write_text("def broken(:\n")
        assert "the code before it runs on" in _until(said, "failed after")
        _until(said, "processors.py:1")
        # When it is put right / Then the functions are as they were
        (pipeline.root / "processors.py").write_text(PROCESSORS)
        _until(said, "hotswapped")
        assert code(pipeline) == before
        # When another command destroys the stack, and a file is saved
        pipeline.rtp("destroy", "--yes")
        (pipeline.root / "processors.py").write_text(PROCESSORS.replace("1}", "30}"))
        # Then the watch ends and makes no new stack
        _until(said, "was deleted by another command")
        assert child.wait(180) == ExitCode.REFUSED
        assert pipeline.rtp("status", ok=False).code == ExitCode.NOT_FOUND
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
            child.wait(180)
        for stream in (child.stdout, child.stderr):
            assert stream is not None
            stream.close()


@pytest.mark.long
def test_a_watch_ends_where_another_command_has_rolled_back(pipeline: Project) -> None:
    # Given a watch that has hotswapped, and an operator who goes back to the release before it
    release = code(pipeline)
    child = pipeline.start("deploy", "--watch", "--yes")
    try:
        assert child.stderr is not None
        said = _lines(child.stderr)
        _until(said, "watching")
        (pipeline.root / "processors.py").write_text(PROCESSORS.replace("1}", "50}"))
        _until(said, "hotswapped")
        pipeline.rtp("rollback", "--yes")
        assert code(pipeline) == release
        # When a file is saved / Then the watch ends, and the release runs on
        (pipeline.root / "processors.py").write_text(PROCESSORS.replace("1}", "60}"))
        _until(said, "got other code by another command")
        assert child.wait(180) == ExitCode.REFUSED
        assert code(pipeline) == release
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
            child.wait(180)
        for stream in (child.stdout, child.stderr):
            assert stream is not None
            stream.close()


@pytest.mark.long
def test_a_save_of_a_watch_is_named_in_its_json(pipeline: Project) -> None:
    child = pipeline.start("deploy", "--watch", "--yes", "--json")
    try:
        assert child.stderr is not None and child.stdout is not None
        said, lines = _lines(child.stderr), _lines(child.stdout)
        _until(said, "watching")
        (pipeline.root / "processors.py").write_text(PROCESSORS.replace("1}", "40}"))
        saved = json.loads(_until(lines, '"saved"'))
        assert (saved["type"], saved["files"]) == ("saved", ["processors.py"])
        assert json.loads(_until(lines, '"result"'))["status"] == "hotswapped"
        # A save that cannot be deployed is followed by its error, and the next one is named too
        (pipeline.root / "processors.py").write_text("def broken(:\n")
        _until(lines, '"saved"')
        assert "processors.py" in json.loads(_until(lines, '"error"'))["error"]["message"]
        (pipeline.root / "processors.py").write_text(PROCESSORS)
        _until(lines, '"saved"')
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(180)
        for stream in (child.stdout, child.stderr):
            assert stream is not None
            stream.close()


def _lines(stream: IO[str]) -> Queue[str]:
    found: Queue[str] = Queue()

    def read() -> None:
        try:
            for line in stream:
                found.put(line)
        except ValueError:  # closed
            pass

    threading.Thread(target=read, daemon=True).start()
    return found


def _until(said: Queue[str], text: str, timeout: float = 60) -> str:
    seen = []
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            seen.append(said.get(timeout=0.5))
        except Empty:
            continue
        if text in seen[-1]:
            return seen[-1]
    raise AssertionError(f"{text!r} was not said in {seen}")
