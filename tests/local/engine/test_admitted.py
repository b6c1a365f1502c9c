"""Who is let in, and what for: this run's key and token, keys that it issues, and addresses that it hands out."""

from __future__ import annotations

import io
import os
import urllib.error
import zipfile
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from rtp.aws import Aws
from rtp.local.state import folder
from tests.local.engine.conftest import REGION
from tests.local.engine.outside import Proxy, as_another_user, client, fetched, send

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.engine.conftest import Lab


def test_the_key_and_the_token_open_everything(lab: Lab) -> None:
    assert send(lab, "GET", "/", lab.signature("s3"))[0] == 200
    assert send(lab, "GET", "/", {"X-Rtp-Token": lab.engine.token})[0] == 200
    assert send(lab, "GET", "/", {"X-Rtp-Token": "x"})[0] == 403


def test_the_record_is_not_another_user_s_to_read(lab: Lab, engine_root: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("there is no other user to try it as")
    record = folder(engine_root).record_file
    assert lab.engine.keys.secret_access_key in record.read_text()

    def act() -> object:
        try:
            return record.read_text()
        except PermissionError:
            return "refused"

    assert as_another_user(act) == "refused"
    assert (record.stat().st_mode & 0o777, record.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_function_can_call_aws_and_has_no_key_that_can_be_guessed(lab: Lab) -> None:
    code = "import boto3, os\ndef handler(event, context):\n    boto3.client('s3').list_buckets()\n"
    code += "    return dict(os.environ)\n"
    environment = lab.invoke(lab.function(code, name=f"{lab.name}-caller"))
    given = (environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    assert given == lab.engine.keys


def test_keys_that_the_engine_issues_are_admitted_until_they_expire(lab: Lab) -> None:
    from botocore.exceptions import ClientError

    # Given a user with a key, and a session of a role
    lab.call("iam", "create_user", UserName=lab.name)
    key = lab.call("iam", "create_access_key", UserName=lab.name)["AccessKey"]
    role = {"RoleArn": "arn:aws:iam::000000000000:role/any", "RoleSessionName": "session"}
    session = lab.call("sts", "assume_role", **role)["Credentials"]
    # When, Then
    for issued in (key, session):
        client(lab, "s3", issued["AccessKeyId"]).list_buckets()
    # When the user's is switched off
    lab.call("iam", "update_access_key", UserName=lab.name, AccessKeyId=key["AccessKeyId"], Status="Inactive")
    # Then it is unknown
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        client(lab, "s3", key["AccessKeyId"]).list_buckets()


def test_a_presigned_url_is_valid_with_the_engine_s_key_alone(lab: Lab) -> None:
    lab.call("s3", "create_bucket", Bucket=f"{lab.name}-presigned")
    lab.call("s3", "put_object", Bucket=f"{lab.name}-presigned", Key="key", Body=b"shared")
    params = {"Bucket": f"{lab.name}-presigned", "Key": "key"}
    url = lab.aws.client("s3").generate_presigned_url("get_object", Params=params)
    assert fetched(url) == b"shared"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        fetched(client(lab, "s3", "test").generate_presigned_url("get_object", Params=params))


def test_code_and_layers_are_fetched_by_their_addresses_alone(lab: Lab) -> None:
    # Given two functions and a layer
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("python/x.py", "")
    mine, other = (lab.function("def handler(event, context): ...", name=f"{lab.name}-{n}") for n in ("mine", "other"))
    layer = {"LayerName": lab.name}
    first = lab.call("lambda", "publish_layer_version", **layer, Content={"ZipFile": packed.getvalue()})
    arn = first["LayerVersionArn"]
    urls = [
        lab.call("lambda", "get_function", FunctionName=mine)["Code"]["Location"],
        first["Content"]["Location"],
        lab.call("lambda", "get_layer_version", **layer, VersionNumber=1)["Content"]["Location"],
        lab.call("lambda", "get_layer_version_by_arn", Arn=arn)["Content"]["Location"],
    ]
    for url in urls:
        # When, Then it is fetched without a key
        assert zipfile.ZipFile(io.BytesIO(fetched(url))).namelist()
        # And no other is made from it
        parts = urlsplit(url)
        for changed in (
            url.replace(f"/{lab.name}-mine?", f"/{lab.name}-other?").replace(f"/{lab.name}/1/", f"/{lab.name}/2/"),
            url.replace("X-Amz-Expires=600", "X-Amz-Expires=60000"),
            f"{url[:-1]}{'0' if url[-1] != '0' else '1'}",
            parts._replace(query="").geturl(),
        ):
            assert changed != url
            with pytest.raises(urllib.error.HTTPError, match="403"):
                fetched(changed)
    assert other


def test_a_proxy_on_this_machine_may_change_the_host(lab: Lab) -> None:
    with Proxy(lab.engine.port) as proxy:
        through = Aws(region=REGION, endpoint_url=proxy.url, local=True, keys=lab.engine.keys)
        through.call("s3", "create_bucket", Bucket=f"{lab.name}-proxied")
        through.call("s3", "put_object", Bucket=f"{lab.name}-proxied", Key="key", Body=b"through")
        for service, operation in (
            ("sts", "get_caller_identity"),
            ("dynamodb", "list_tables"),
            ("lambda", "list_functions"),
        ):
            through.call(service, operation)
        assert lab.call("s3", "get_object", Bucket=f"{lab.name}-proxied", Key="key")["Body"].read() == b"through"
