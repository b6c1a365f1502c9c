"""A profile with MFA or SSO: one question, the AWS CLI's cache, and credentials for a child without a terminal."""

from __future__ import annotations

import hashlib
import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from rtp.aws import Aws
from rtp.errors import CredentialsError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODE = "123456"
CONFIG = """\
[profile op]
region = us-east-1
[profile mfa]
region = us-east-1
source_profile = op
role_arn = arn:aws:iam::111122223333:role/deployer
mfa_serial = arn:aws:iam::111122223333:mfa/op
services = fake
[services fake]
sts =
  endpoint_url = {url}
[profile sso]
region = us-east-1
sso_session = work
sso_account_id = 111122223333
sso_role_name = deployer
[sso-session work]
sso_region = us-east-1
sso_start_url = https://work.awsapps.com/start
"""
KEYS = "[op]\naws_access_key_id = AKIAOP\naws_secret_access_key = secret\n"
NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


class Sts(ThreadingHTTPServer):
    """AssumeRole with an MFA code, and GetCallerIdentity. session_s: how long the role's sessions last."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.roles: list[dict[str, str]] = []
        self.session_s = 3600
        self.account = "111122223333"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    server: Sts

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        asked = {name: values[0] for name, values in parse_qs(body).items()}
        if asked["Action"] == "GetCallerIdentity":
            self._say(
                200, f"<GetCallerIdentityResult><Account>{self.server.account}</Account></GetCallerIdentityResult>"
            )
            return
        self.server.roles.append(asked)
        if asked.get("TokenCode") != CODE:
            text = "MultiFactorAuthentication failed with invalid MFA one time pass code."
            self._say(403, f"<Error><Code>AccessDenied</Code><Message>{text}</Message></Error>")
            return
        ends = (datetime.now(UTC) + timedelta(seconds=self.server.session_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
        keys = f"<AccessKeyId>ASIA{len(self.server.roles)}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
        credentials = f"<Credentials>{keys}<SessionToken>t</SessionToken><Expiration>{ends}</Expiration></Credentials>"
        self._say(200, f"<AssumeRoleResult>{credentials}</AssumeRoleResult>")

    def _say(self, status: int, text: str) -> None:
        name = "Response" if status == 200 else "ErrorResponse"
        data = f'<{name} xmlns="{NAMESPACE}">{text}</{name}>'.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def sts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sts]:
    """The server, and a home folder whose profiles lead to it."""
    server = Sts()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(CONFIG.format(url=server.url))
    (tmp_path / ".aws" / "credentials").write_text(KEYS)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class Operator:
    """Types a code when asked."""

    def __init__(self, code: str = CODE) -> None:
        self.code = code
        self.questions: list[str] = []

    def __call__(self, question: str) -> str:
        self.questions.append(question)
        return self.code


def signed_in(sts: Sts, operator: Operator | None, profile: str = "mfa") -> Aws:
    return Aws(region="us-east-1", endpoint_url=sts.url, profile=profile, prompt=operator)


def test_a_code_is_asked_for_once_and_the_child_gets_the_credentials_themselves(sts: Sts, tmp_path: Path) -> None:
    # Given a profile whose role needs an MFA code
    operator = Operator()
    aws = signed_in(sts, operator)
    # When rtp signs in, calls AWS and starts the CDK CLI
    aws.sign_in(at_least_s=1800)
    assert aws.account == "111122223333"
    environment = aws.environment()
    # Then the operator was asked once, and the child needs neither profile nor terminal
    assert operator.questions == ["Enter MFA code for arn:aws:iam::111122223333:mfa/op: "]
    assert len(sts.roles) == 1 and sts.roles[0]["SerialNumber"].endswith("mfa/op")
    assert (environment["AWS_ACCESS_KEY_ID"], environment["AWS_SESSION_TOKEN"]) == ("ASIA1", "t")
    assert "AWS_PROFILE" not in environment
    # And the session is where the AWS CLI keeps its own, so that the next command asks for nothing
    (cached,) = (tmp_path / ".aws" / "cli" / "cache").iterdir()
    assert json.loads(cached.read_text())["Credentials"]["AccessKeyId"] == "ASIA1"
    later = signed_in(sts, None)
    later.sign_in(at_least_s=1800)
    assert later.environment()["AWS_ACCESS_KEY_ID"] == "ASIA1" and len(sts.roles) == 1


def test_a_session_that_would_end_during_a_deploy_is_replaced_before_it(sts: Sts) -> None:
    # Given a session that lasts for 20 more minutes
    sts.session_s = 1200
    operator = Operator()
    signed_in(sts, operator).environment()
    sts.session_s = 3600
    # When something short is done / Then it is good enough
    aws = signed_in(sts, operator)
    assert aws.environment()["AWS_ACCESS_KEY_ID"] == "ASIA1"
    # When a deploy begins / Then it is replaced
    aws.sign_in(at_least_s=1800)
    assert aws.environment()["AWS_ACCESS_KEY_ID"] == "ASIA2" and len(operator.questions) == 2


def test_without_a_terminal_the_error_says_how_to_sign_in(sts: Sts) -> None:
    with pytest.raises(CredentialsError) as caught:
        signed_in(sts, None).sign_in(at_least_s=1800)
    assert caught.value.message == "The profile mfa needs an MFA code, and there is no terminal to ask for it on."
    assert "aws sts get-caller-identity --profile=mfa" in caught.value.hint and sts.roles == []


def test_a_wrong_code_is_one_clear_message(sts: Sts) -> None:
    with pytest.raises(CredentialsError, match="does not accept this MFA code for profile mfa"):
        signed_in(sts, Operator("000000")).environment()


def test_an_expired_sso_session_names_the_command(sts: Sts, tmp_path: Path) -> None:
    # Given a sign-in of yesterday
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    token = {"accessToken": "t", "expiresAt": "2020-01-01T00:00:00Z", "startUrl": "https://work.awsapps.com/start"}
    (cache / f"{hashlib.sha1(b'work').hexdigest()}.json").write_text(json.dumps(token))  # noqa: S324 - as botocore
    # When a deploy begins
    with pytest.raises(CredentialsError) as caught:
        signed_in(sts, Operator(), "sso").sign_in(at_least_s=1800)
    # Then the error names the sign-in of this profile
    assert "aws sso login --profile=sso" in caught.value.hint and "expired" in caught.value.message


def test_keys_that_do_not_expire_are_passed_on_without_a_token(sts: Sts) -> None:
    aws = signed_in(sts, None, "op")
    aws.sign_in(at_least_s=1800)
    environment = aws.environment()
    assert environment["AWS_ACCESS_KEY_ID"] == "AKIAOP" and "AWS_SESSION_TOKEN" not in environment


def test_new_credentials_are_read_and_must_be_of_the_same_account(sts: Sts) -> None:
    aws = signed_in(sts, None, "op")
    assert aws.account == "111122223333"
    aws.renew()
    sts.account = "999988887777"
    with pytest.raises(RefusedError, match="999988887777"):
        aws.renew()
    assert aws.account == "111122223333"
