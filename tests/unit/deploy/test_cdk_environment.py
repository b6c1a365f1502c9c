"""What of the user's environment reaches the CDK CLI: never what leads it elsewhere than rtp goes; and its end."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from rtp.aws import Aws
from rtp.errors import WaitTimeoutError
from rtp.infra import child, uv
from rtp.infra.passed import variables
from rtp.local import environment
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


SECRETS = {
    "GITHUB_TOKEN": "canary",
    "NPM_TOKEN": "canary",
    "DATABASE_URL": "postgres://canary",
    "AWS_ROLE_ARN": "canary",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": "canary",
    "CDK_DEFAULT_ACCOUNT": "canary",
    "JSII_RUNTIME": "canary",
    "NODE_OPTIONS": "--require=canary",
    "BASH_ENV": "canary",
    "RTP_EXTRA": "canary",
}
NEEDED = {
    "PATH": "/bin",
    "HOME": "/h",
    "LC_ALL": "C",
    "HTTPS_PROXY": "http://p",
    "no_proxy": "x",
    "SSL_CERT_FILE": "/c",
}


def test_children_get_a_list_of_variables_and_no_token() -> None:
    user = {**SECRETS, **NEEDED}
    assert variables(user) == NEEDED
    assert variables(user, aws=True) == NEEDED
    assert passed_on({**user, **USER}, Aws(region="us-east-1")) == {**NEEDED, "AWS_CA_BUNDLE": "/ca.pem"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"PATH": ":/bin:.:bin::/usr/bin"}, {"PATH": "/bin:/usr/bin"}),
        ({"PATH": ".:"}, {"PATH": os.defpath}),
        ({"LD_LIBRARY_PATH": "/opt/lib:", "PYTHONPATH": ":"}, {"LD_LIBRARY_PATH": "/opt/lib"}),
    ],
)
def test_no_search_path_means_the_folder_in_which_a_child_works(
    given: dict[str, str], expected: dict[str, str], tmp_path: Path
) -> None:
    assert variables(given) == expected
    assert uv.environment({**given, "HOME": str(tmp_path)}).items() >= expected.items()
    assert environment.scrubbed(given).items() >= {k: v for k, v in expected.items() if k in environment.PASSED}.items()


def test_what_an_extension_reads_is_named_and_credentials_cannot_be() -> None:
    user = {**SECRETS, "RTP_PASS": "TEAM, STAGE_NAME AWS_ROLE_ARN", "TEAM": "a", "STAGE_NAME": "b"}
    assert variables(user) == {"TEAM": "a", "STAGE_NAME": "b"}


def test_the_synthesis_sees_no_token_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    assert "canary" not in " ".join(child._environment().values())
