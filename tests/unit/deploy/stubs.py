"""The real Aws with botocore's Stubber in a client's place, for what only AWS itself answers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rtp.aws import Aws

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT = "111122223333"
STS = {"Account": ACCOUNT, "UserId": "AIDA", "Arn": f"arn:aws:iam::{ACCOUNT}:user/op"}


@contextmanager
def stubbed(*services: str) -> Iterator[tuple[Aws, dict[str, Any]]]:
    """An Aws of an account, and a Stubber for each service; every expected answer must have been asked for."""
    from botocore.stub import Stubber

    aws = Aws(region="us-east-1", local=True)  # for its keys
    aws.local = False
    stubbers = {}
    for service in services:
        aws._clients[service] = Aws(region="us-east-1", local=True).client(service)
        stubbers[service] = Stubber(aws._clients[service])
        stubbers[service].activate()
    yield aws, stubbers
    for stubber in stubbers.values():
        stubber.assert_no_pending_responses()
