"""The fix of a call that the functions' role does not allow, from AWS's messages."""

from __future__ import annotations

import tomllib

import msgspec
import pytest

from rtp.config.permissions import Permission, check
from rtp.ops.events.denied import missing_permission

ROLE = "arn:aws:sts::111122223333:assumed-role/shop-dev-ProcessingWorkerRole-1/shop-dev-worker"
TABLE = "arn:aws:dynamodb:us-east-1:111122223333:table/shop-dev-rates"
START = "An error occurred (AccessDeniedException) when calling the GetItem operation: "
DENIED = f"User: {ROLE} is not authorized to perform: dynamodb:GetItem on resource: {TABLE}"


@pytest.mark.parametrize(
    ("text", "action", "resource"),
    [
        (f"{START}{DENIED}", "dynamodb:GetItem", TABLE),
        (f"{START}{DENIED} because no identity-based policy allows the x:Y action", "dynamodb:GetItem", TABLE),
        (
            f'User: {ROLE} is not authorized to perform: s3:PutObject on resource: "arn:aws:s3:::b/k/*"',
            "s3:PutObject",
            "arn:aws:s3:::b/k/*",
        ),
        (f"User: {ROLE} is not authorized to perform: ses:SendEmail", "ses:SendEmail", "*"),
    ],
)
def test_the_statement_to_add_is_one_that_rtp_takes(text: str, action: str, resource: str) -> None:
    (entry,) = tomllib.loads(missing_permission(text))["permissions"]
    assert (entry["actions"], entry["resources"]) == ([action], [resource])
    permission = msgspec.convert(entry, Permission)
    check([permission], "us-east-1", "rtp.toml")


@pytest.mark.parametrize(
    "text",
    [
        "KeyError: 'Item'",
        f"{DENIED} with an explicit deny in an identity-based policy",
        f"{DENIED} because no resource-based policy allows the dynamodb:GetItem action",
        DENIED.replace(ROLE, "arn:aws:iam::111122223333:user/op"),
    ],
)
def test_what_a_permission_would_not_fix_has_no_statement(text: str) -> None:
    assert missing_permission(text) == ""
