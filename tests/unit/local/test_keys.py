"""Keys of the engine, and the addresses that need none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from rtp.local import addresses, keys

NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)
CODE = "http://localhost:4566/_ministack/lambda-code/000000000000/us-east-1/f"
RESPONSE = "http://localhost:4566/_ministack/cfn-response/token"


def request(method: str = "GET", url: str = CODE, **headers: str) -> dict[str, Any]:
    parts = urlsplit(url)
    given = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"method": method, "path": parts.path, "query_string": parts.query.encode(), "headers": given}


def no_handle(_: str) -> bool:
    return False


def test_every_key_is_different_and_none_looks_like_one_of_aws() -> None:
    many = [keys.generate() for _ in range(100)]
    assert len({key.access_key_id for key in many}) == len({key.secret_access_key for key in many}) == 100
    assert {(len(k.access_key_id), len(k.secret_access_key), k.access_key_id[:4]) for k in many} == {(20, 40, "LKIA")}


def test_a_key_does_not_show_itself() -> None:
    key = keys.generate()
    assert key.access_key_id not in f"{key!r}" and key.secret_access_key not in f"{key}"


@pytest.mark.parametrize("access_key_id", ["", "test", "AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"])
def test_a_key_of_aws_in_the_environment_stays_there(access_key_id: str) -> None:
    given = {"AWS_ACCESS_KEY_ID": access_key_id, "AWS_SECRET_ACCESS_KEY": "secret"}
    assert keys.of_environment(given) is None


def test_the_engine_s_key_in_the_environment_is_taken_with_its_secret() -> None:
    key = keys.generate()
    assert keys.of_environment({"AWS_ACCESS_KEY_ID": key[0], "AWS_SECRET_ACCESS_KEY": key[1]}) == key
    assert keys.of_environment({"AWS_ACCESS_KEY_ID": key[0]}) is None


@pytest.mark.parametrize(
    ("authorization", "query", "key"),
    [
        ("AWS4-HMAC-SHA256 Credential=ID/20270115/us-east-1/s3/aws4_request, SignedHeaders=h, Signature=s", "", "ID"),
        ("AWS4-HMAC-SHA256 SignedHeaders=h,Credential=ID/20270115/us-east-1/s3/aws4_request", "", "ID"),
        ("AWS4-ECDSA-P256-SHA256 Credential=ID/20270115/s3/aws4_request, SignedHeaders=h", "", "ID"),
        ("AWS ID:signature", "", "ID"),
        ("", "X-Amz-Credential=ID%2F20270115%2Fus-east-1%2Fs3%2Faws4_request", "ID"),
        ("", "AWSAccessKeyId=ID&Signature=s", "ID"),
        ("AWS4-HMAC-SHA256 Credential=OTHER/x", "X-Amz-Credential=ID/x", "OTHER"),
        ("AWS4-HMAC-SHA256", "X-Amz-Credential=ID/x", ""),
        ("", "", None),
        ("Bearer token", "", None),
    ],
)
def test_the_key_of_a_request_is_the_one_that_the_engine_uses(authorization: str, query: str, key: str | None) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    assert keys.of_request(request(url=f"{CODE}?{query}", **headers)) == key


def test_two_signatures_are_none() -> None:
    twice = request()
    twice["headers"] = [(b"authorization", b"AWS4-HMAC-SHA256 Credential=ID/x")] * 2
    assert keys.of_request(twice) == ""


def test_an_address_is_valid_for_its_method_its_path_and_its_time() -> None:
    code, callback = addresses.signed("GET", CODE, 600, now=NOW), addresses.signed("PUT", RESPONSE, 7200, now=NOW)
    assert addresses.admits(request("GET", code), no_handle, now=NOW)
    assert addresses.admits(request("PUT", callback), no_handle, now=NOW + timedelta(seconds=7199))
    # Another method, another path, later, and without a signature
    assert not addresses.admits(request("PUT", code), no_handle, now=NOW)
    assert not addresses.admits(request("GET", callback), no_handle, now=NOW)
    assert not addresses.admits(request("GET", code.replace("/f?", "/g?")), no_handle, now=NOW)
    assert not addresses.admits(request("GET", code.replace("lambda-code", "lambda-layers")), no_handle, now=NOW)
    assert not addresses.admits(request("GET", code), no_handle, now=NOW + timedelta(seconds=600))
    assert not addresses.admits(request("GET", code.replace("=600", "=6000")), no_handle, now=NOW)
    assert not addresses.admits(request("GET", CODE), no_handle, now=NOW)


def test_a_signed_address_gets_a_new_signature_instead_of_a_second() -> None:
    assert addresses.signed("GET", addresses.signed("GET", CODE, 1), 600, now=NOW) == addresses.signed(
        "GET", CODE, 600, now=NOW
    )


def test_a_signal_is_for_a_handle_that_the_engine_has() -> None:
    url = "http://localhost:4566/_ministack/cfn-signal/handle"
    assert addresses.admits(request("PUT", url), lambda handle: handle == "handle")
    assert not addresses.admits(request("PUT", url), no_handle)
    assert not addresses.admits(request("GET", url), lambda _: True)
