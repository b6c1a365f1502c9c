"""The guards of an AWS account, through the real CLI, against a server that answers as AWS would."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local.conftest import Finished, Project

ACCOUNT = "111122223333"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}
_STS = f"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::{ACCOUNT}:user/op</Arn><UserId>AIDA</UserId><Account>{ACCOUNT}</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""
_EXPIRED = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>ExpiredToken</Code><Message>The security token is expired</Message></Error></ErrorResponse>"""


class Cloud(ThreadingHTTPServer):
    """Knows who calls, and that nothing is bootstrapped. On a loopback address that rtp takes for a foreign one."""

    expired = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.2", 0), Answers)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.2:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    server: Cloud

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        action = self.headers.get("X-Amz-Target", "").rpartition(".")[2] or parse_qs(body).get("Action", [""])[0]
        self.server.asked.append(action)
        if action == "GetCallerIdentity":
            self._say(403, _EXPIRED) if self.server.expired else self._say(200, _STS)
        elif action == "GetParameter":
            self._say(400, json.dumps({"__type": "ParameterNotFound"}))
        else:
            self._say(200, "<html>Please log in to the guest network</html")

    do_GET = do_PUT = do_POST

    def _say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    server = Cloud()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def rtp(project: Project, cloud: Cloud, *args: str) -> Finished:
    return project.rtp(*args, "--endpoint-url", cloud.url, env=KEYS, ok=False)


GUARDED = [
    ("deploy", "--yes"),
    ("destroy", "--confirm", "realtime-processor-prod"),
    ("bootstrap", "--yes"),
    ("send", "--type", "t", "--data", "{}"),
    ("dlq", "redrive", "--all", "--confirm", "realtime-processor-prod"),
    ("replay", "--since", "1h", "--confirm", "realtime-processor-prod"),
    ("status", "--check"),
    ("logs",),
]


@pytest.mark.parametrize("command", GUARDED, ids=lambda c: c[0])
def test_an_account_that_is_not_the_environment_s_is_refused(
    project: Project, cloud: Cloud, command: tuple[str, ...]
) -> None:
    # Given an environment that names its account, and credentials of another
    (project.root / "rtp.toml").write_text('[env.prod]\naccount = "999988887777"\n')
    # When something is to be changed there, or told of it
    done = rtp(project, cloud, *command, "--env", "prod")
    # Then it is refused with both accounts named, and AWS was asked nothing but who we are
    assert done.code == 5, done
    assert "999988887777" in done.stderr and ACCOUNT in done.stderr
    assert set(cloud.asked) == {"GetCallerIdentity"}


def test_expired_credentials_are_one_clear_message(project: Project, cloud: Cloud) -> None:
    cloud.expired = True
    done = rtp(project, cloud, "deploy", "--yes", "--built-in", "--env", "dev", "--json")
    assert done.code == 3
    error = done.json["error"]
    assert error["code"] == "credentials" and "expired" in error["message"] and "aws sso login" in error["hint"]


def test_a_missing_bootstrap_is_reported_before_anything_else(project: Project, cloud: Cloud) -> None:
    done = rtp(project, cloud, "deploy", "--yes", "--built-in", "--env", "dev")
    assert done.code == 3 and "rtp bootstrap" in done.stderr
    assert set(cloud.asked) == {"GetCallerIdentity", "GetParameter"}


def test_a_cloud_environment_refuses_an_endpoint_variable(project: Project, cloud: Cloud) -> None:
    done = project.rtp(
        "deploy", "--yes", "--built-in", "--env", "dev", env={**KEYS, "AWS_ENDPOINT_URL": cloud.url}, ok=False
    )
    assert done.code == 3 and "AWS_ENDPOINT_URL" in done.stderr and cloud.asked == []


@pytest.mark.parametrize(
    "config",
    [
        "[default]\nendpoint_url = {url}\n",
        "[default]\nservices = elsewhere\n[services elsewhere]\nsts =\n  endpoint_url = {url}\n",
    ],
)
def test_a_profile_that_leads_elsewhere_is_refused(project: Project, cloud: Cloud, config: str) -> None:
    (project.root / "aws").write_text(config.format(url=cloud.url))
    told = {**KEYS, "AWS_CONFIG_FILE": str(project.root / "aws")}
    done = project.rtp("deploy", "--yes", "--built-in", "--env", "dev", env=told, ok=False)
    assert (done.code, cloud.asked) == (3, []) and cloud.url in done.stderr and "endpoint_url" in done.stderr
    # An endpoint that was asked for is another matter
    project.rtp("deploy", "--yes", "--built-in", "--env", "dev", "--endpoint-url", cloud.url, env=told, ok=False)
    assert "GetCallerIdentity" in cloud.asked


def test_the_local_environment_refuses_an_endpoint_on_another_machine(project: Project, cloud: Cloud) -> None:
    done = project.rtp("deploy", "--yes", "--endpoint-url", cloud.url, env=KEYS, ok=False)
    assert done.code == 3 and "only an endpoint on this machine" in done.stderr and cloud.asked == []


def test_missing_credentials_are_an_error_with_the_fix(project: Project, cloud: Cloud) -> None:
    nothing = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
    done = project.rtp("deploy", "--yes", "--built-in", "-e", "dev", "--endpoint-url", cloud.url, env=nothing, ok=False)
    assert done.code == 3 and "No AWS credentials" in done.stderr
    # And a synthesis needs none where the account is named, which its error says
    done = project.rtp("synth", "-e", "dev", env=nothing, ok=False)
    assert done.code == 3 and "Or set `account` under [env.dev] in rtp.toml" in done.stderr


def test_doctor_reports_what_an_account_lacks(project: Project, cloud: Cloud) -> None:
    done = rtp(project, cloud, "doctor", "--env", "dev", "--json")
    checks = {check["name"]: check for check in done.json["checks"]}
    assert done.code == 1
    assert checks["credentials"]["verdict"] == "ok" and ACCOUNT in checks["credentials"]["detail"]
    assert (checks["bootstrap"]["verdict"], checks["bootstrap"]["fix"]) == ("fail", "Run `rtp bootstrap`.")
    assert "does not speak AWS's protocol" in checks["stack"]["detail"]
