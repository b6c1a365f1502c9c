"""What of the user's environment reaches the CDK CLI: never what leads it elsewhere than rtp goes; and its end."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from rtp.aws import Aws
from rtp.errors import WaitTimeoutError
from rtp.ops.stack.build.cdk import ended, passed_on

if TYPE_CHECKING:
    from pathlib import Path

USER = {
    "PATH": "/bin",
    "AWS_PROFILE": "mine",
    "AWS_ACCESS_KEY_ID": "AKIA",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "session",
    "AWS_CA_BUNDLE": "/ca.pem",
    "AWS_ENDPOINT_URL": "http://elsewhere",
    "AWS_ENDPOINT_URL_S3": "http://elsewhere",
}


@pytest.mark.parametrize("profile", [None, "prod"])
def test_credentials_and_endpoints_are_rtps_and_the_rest_is_the_users(profile: str | None) -> None:
    passed = passed_on(USER, Aws(region="us-east-1", profile=profile))
    assert set(passed) == {"PATH", "AWS_CA_BUNDLE"}


def test_an_engine_sees_nothing_of_the_users() -> None:
    assert passed_on(USER, Aws(region="us-east-1", endpoint_url="http://127.0.0.1:1", local=True)) == {"PATH": "/bin"}


def test_a_cdk_that_does_not_end_is_stopped(tmp_path: Path) -> None:
    # Given a command that waits / When its time is up
    program = "import time; print('waiting for the change set', flush=True); time.sleep(600)"
    with pytest.raises(WaitTimeoutError, match="was stopped") as caught:
        ended([sys.executable, "-c", program], dict(os.environ), tmp_path, timeout_s=2)
    # Then it is stopped, and the operator knows that it was the wait that ended
    assert caught.value.exit_code == 6


def test_a_command_s_lines_and_exit_code_are_returned(tmp_path: Path) -> None:
    lines: list[str] = []
    program = "import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"
    code, output = ended([sys.executable, "-u", "-c", program], dict(os.environ), tmp_path, on_line=lines.append)
    assert (code, output, lines) == (3, ["one", "two"], ["one", "two"])
