"""The outputs an operator is shown hold URLs that answer."""

from __future__ import annotations

from rtp.aws import Aws
from rtp.aws.api import reachable

ON_AWS = {
    "ApiUrl": "https://a1.execute-api.us-east-1.amazonaws.com/prod/",
    "ApiId": "a1",
    "ApiStage": "prod",
    "QueueUrl": "https://sqs.us-east-1.amazonaws.com/000000000000/q",
    "DlqUrl": "https://sqs.us-east-1.amazonaws.com/000000000000/d",
    "TableName": "t",
}


def test_an_emulator_is_reached_through_its_endpoint() -> None:
    # Given a stack that was made while the engine had another port
    there = ON_AWS | {
        "QueueUrl": "http://localhost:4566/000000000000/q",
        "DlqUrl": "http://localhost:4566/000000000000/d",
    }
    aws = Aws(region="us-east-1", endpoint_url="http://127.0.0.1:4570", local=True)
    # When, then
    assert reachable(there, aws) == ON_AWS | {
        "ApiUrl": "http://127.0.0.1:4570/_aws/execute-api/a1/prod/",
        "QueueUrl": "http://127.0.0.1:4570/000000000000/q",
        "DlqUrl": "http://127.0.0.1:4570/000000000000/d",
    }


def test_on_aws_they_stay_as_they_are() -> None:
    assert reachable(ON_AWS, Aws(region="us-east-1")) == ON_AWS


def test_a_stack_without_an_api_yet_has_what_it_has() -> None:
    aws = Aws(region="us-east-1", endpoint_url="http://127.0.0.1:4570", local=True)
    assert reachable({"TableName": "t"}, aws) == {"TableName": "t"}
