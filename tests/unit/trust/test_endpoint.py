"""An endpoint that rtp.toml names and that is neither AWS's nor this machine's is asked for, and gets no profile."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from rtp.commands.session import Session
from rtp.config import Overrides
from rtp.errors import CredentialsError, RefusedError
from rtp.terminal.output import Output
from rtp.trust import store

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.aws import Aws

URL = "http://collector.example:4566"


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with a default profile and one of another name."""
    home, root = tmp_path / "home", tmp_path / "shop"
    (home / ".aws").mkdir(parents=True)
    keys = "aws_access_key_id = AKIAPROFILE\naws_secret_access_key = secret\n"
    (home / ".aws" / "credentials").write_text(f"[default]\n{keys}\n[other]\n{keys}")
    root.mkdir()
    (root / "rtp.toml").write_text(f'[env.dev]\nendpoint_url = "{URL}"\n')
    monkeypatch.chdir(root)
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "RTP_TRUST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def session(answer: str | None = None, **overrides: Any) -> Session:
    stdin, stderr = (io.StringIO(), io.StringIO()) if answer is None else (Terminal(answer), Terminal())
    return Session(Overrides(env="dev", **overrides), Output(stdin=stdin, stdout=io.StringIO(), stderr=stderr))


def key_of(aws: Aws) -> str | None:
    credentials = aws._shared_session().get_credentials()
    return None if credentials is None else str(credentials.access_key)


def test_without_a_terminal_it_is_refused_with_the_command_that_consents(tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as caught:
        _ = session().aws
    assert caught.value.code == "untrusted-endpoint"
    assert f"rtp trust --endpoint-url={URL} {tmp_path / 'shop'}" in caught.value.hint


def test_it_is_asked_for_once(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="Not confirmed"):
        _ = session("n\n").aws
    assert session("y\n").aws.endpoint_url == URL
    assert session().aws.endpoint_url == URL
    (tmp_path / "shop" / "rtp.toml").write_text('[env.dev]\nendpoint_url = "http://other.example"\n')
    with pytest.raises(RefusedError):
        _ = session().aws


def test_it_gets_no_credentials_of_a_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store.add(tmp_path / "shop", endpoint_url=URL)
    assert key_of(session().aws) is None
    with pytest.raises(CredentialsError):
        session().aws.call("sts", "get_caller_identity")
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert key_of(session().aws) is None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    assert key_of(session().aws) == "test"


def test_it_gets_those_of_the_profile_that_the_environment_names(tmp_path: Path) -> None:
    store.add(tmp_path / "shop", endpoint_url=URL)
    (tmp_path / "shop" / "rtp.toml").write_text(f'[env.dev]\nendpoint_url = "{URL}"\nprofile = "other"\n')
    assert key_of(session().aws) == "AKIAPROFILE"


def test_one_of_the_command_line_is_not_asked_for() -> None:
    assert session(endpoint_url="http://10.0.0.5:4566").aws.endpoint_url == "http://10.0.0.5:4566"


@pytest.mark.parametrize("url", ["http://127.0.0.2:4566", "http://a.localhost:9", "https://127.1.1.1"])
def test_an_address_of_this_machine_where_another_user_may_listen_is_asked_for(url: str, tmp_path: Path) -> None:
    (tmp_path / "shop" / "rtp.toml").write_text(f'[env.dev]\nendpoint_url = "{url}"\n')
    with pytest.raises(RefusedError) as caught:
        _ = session().aws
    assert caught.value.code == "untrusted-endpoint"
    # And it gets no key of the default profile, also where it is given on the command line
    assert key_of(session(endpoint_url=url).aws) is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://[::1]:9", "http://LOCALHOST.:9"])
def test_this_machine_s_usual_names_get_no_key_of_aws(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "shop" / "rtp.toml").write_text(f'[env.dev]\nendpoint_url = "{url}"\nprofile = "other"\n')
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "AKIAENVIRONMENT")
    aws = session().aws
    assert aws.local and aws.credentials().access_key == "test"
    assert "AKIA" not in str(aws.environment())
