"""What an operator sees and answers on a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING

import pytest

from rtp.aws import stacks
from tests.local import deployments
from tests.local.deploy.conftest import SETTINGS, STACK
from tests.local.deploy.test_deploy import by_hand

if TYPE_CHECKING:
    from tests.local.conftest import Project


_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


def converse(
    project: Project, *args: str, answers: dict[str, str] | None = None, interrupt: str | None = None
) -> tuple[int, str]:
    """Run `rtp ARGS` on a terminal; exit code and plain text.

    Types each answer once its question stands there, and Ctrl-C once `interrupt` does.
    """
    left = dict(answers or {})
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 90, 0, 0))
    environ = {k: v for k, v in project.environ({"TERM": "xterm-256color"}).items() if k != "NO_COLOR"}
    child = subprocess.Popen(
        project.argv(*args), stdin=follower, stdout=follower, stderr=follower, cwd=project.root, env=environ
    )
    os.close(follower)
    seen, deadline = b"", time.monotonic() + 120
    with contextlib.suppress(OSError):  # the terminal is gone with the child
        while time.monotonic() < deadline:
            if not select.select([leader], [], [], 0.1)[0]:
                continue
            part = os.read(leader, 65536)
            if not part:
                break
            seen += part
            if interrupt is not None and interrupt.encode() in seen:
                child.send_signal(signal.SIGINT)
                interrupt = None
            for question in [q for q in left if q.encode() in seen]:
                os.write(leader, left.pop(question).encode() + b"\n")
    os.close(leader)
    assert not left, seen
    return child.wait(180), _CONTROL.sub("", seen.decode(errors="replace")).replace("\r", "")


def unwrapped(text: str) -> str:
    """A text with one space for each line break, since prose wraps at the width of the terminal."""
    return " ".join(text.split())


def test_a_deploy_shows_what_it_does_and_ends_with_a_summary(pipeline: Project) -> None:
    # Given a changed setting / When it is deployed on a terminal
    (pipeline.root / "rtp.toml").write_text(SETTINGS + "[defaults]\nmemory_mb = 704\n")
    code, text = converse(pipeline, "deploy")
    # Then the phases stand there with their times, then the plan, and one line that sums it up
    assert code == 0
    # (a phase that took less than 0.1 s leaves no line; synthesis takes longer on any machine)
    assert re.search(r"synthesising +\d+\.\d s", text)
    assert text.index("publishing assets and preparing the change set") < text.index("updating")
    assert f"updates {STACK}: 2 resources" in text
    assert re.search(r"~ Processing/Worker  .*MemorySize", text)
    *_, last, following = text.splitlines()
    # (what is before it in that line is the region that it has replaced: the erasing is stripped here)
    assert re.search(rf"updated {STACK}, 2 resources in \d+\.\d s$", last)
    # And the outputs, which are as before, are not repeated; one command is named that most people run next
    assert "ApiUrl" not in text and following.split() == ["next", "rtp", "status"]


def test_a_refused_consent_changes_nothing(pipeline: Project) -> None:
    # Given a deploy that would replace a queue
    by_hand(pipeline, _renamed)
    before = stacks.template(pipeline.aws, STACK)
    # When the operator says no
    question = f"Update {STACK} (local)? [y/N]"
    code, text = converse(pipeline, "deploy", answers={question: "n"})
    # Then nothing has changed, and the operator was told what would have been lost
    assert code == 5 and "would be replaced by a new, empty one" in unwrapped(text)
    assert stacks.template(pipeline.aws, STACK) == before
    # When the operator says yes / Then it is done
    code, text = converse(pipeline, "deploy", answers={question: "y"})
    assert code == 0 and f"updated {STACK}" in text


def test_ctrl_c_at_a_question_changes_nothing(pipeline: Project) -> None:
    code, text = converse(pipeline, "destroy", interrupt="[y/N]")
    assert code == 130 and f"{STACK} was not deleted" in unwrapped(text) and "Traceback" not in text
    assert pipeline.rtp("deploy", "--json").lines[-1]["status"] == "unchanged"


def _renamed(resources: dict[str, dict[str, dict[str, str]]]) -> None:
    for resource in resources.values():
        if resource.get("Properties", {}).get("QueueName") == f"{STACK}-dlq":
            resource["Properties"]["QueueName"] = "a-queue-of-another-name"


@pytest.mark.long
def test_destroy_of_a_protected_environment_is_typed(project: Project) -> None:
    (project.root / "rtp.toml").write_text("[env.local]\nprotected = true\n")
    deployments.deploy(project)
    question = f"Type {STACK} to continue:"
    code, text = converse(project, "destroy", answers={question: "local"})
    assert code == 5 and "nothing was changed" in unwrapped(text)
    code, text = converse(project, "destroy", answers={question: STACK})
    text = unwrapped(text)
    assert code == 0 and "still there:" in text and "retained by its template" in text
