"""What of the user's environment reaches the CDK CLI: never what leads it elsewhere than rtp goes."""

from __future__ import annotations

import pytest

from rtp.aws import Aws
from rtp.ops.stack.build.cdk import passed_on

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
