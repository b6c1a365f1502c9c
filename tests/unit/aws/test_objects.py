"""Objects of S3 whose contents end too early."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rtp.aws import Aws, objects
from rtp.errors import EndpointError
from rtp.runtime import partial


class Bucket:
    """S3 with one object. resets: how many answers end before their contents do."""

    local, endpoint_url, region, profile = False, None, "us-east-1", None

    def __init__(self, resets: int) -> None:
        self.resets = resets

    def call(self, service: str, operation: str, **params: Any) -> Any:
        """Answer `get_object`."""
        assert (service, operation, params) == ("s3", "get_object", {"Bucket": "bucket", "Key": "key"})
        self.resets -= 1
        return {"Body": SimpleNamespace(read=self.cut) if self.resets >= 0 else io.BytesIO(b"contents")}

    def cut(self, _size: int) -> bytes:
        """The error of a connection that was reset in the middle."""
        from botocore.exceptions import IncompleteReadError

        raise IncompleteReadError(actual_bytes=3, expected_bytes=8)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial, "_FIRST_S", 0.0)


def test_an_object_whose_contents_end_too_early_is_requested_again() -> None:
    assert objects.get(Bucket(resets=3), "bucket", "key") == b"contents"  # type: ignore[arg-type]


def test_an_error_whose_text_is_cut_off_is_repeated_too() -> None:
    from urllib3.exceptions import ProtocolError

    calls: list[str] = []

    def get_object(**_: Any) -> Any:
        calls.append("get_object")
        if len(calls) < 3:
            raise ProtocolError("Connection broken")
        return {"Body": io.BytesIO(b"contents")}

    aws = Aws(region="us-east-1")
    aws._account, aws._clients["s3"] = "111122223333", SimpleNamespace(get_object=get_object)
    assert objects.get(aws, "bucket", "key") == b"contents"


def test_every_object_is_read_by_the_function_that_repeats() -> None:
    package = Path(objects.__file__).parent
    own = {path.name for path in package.glob("*.py") if '"get_object"' in path.read_text(encoding="utf-8")}
    assert own == {"objects.py"}


def test_an_object_that_never_arrives_whole_is_an_error() -> None:
    bucket: Any = Bucket(resets=100)
    with pytest.raises(EndpointError, match="s3 get_object"):
        objects.get(bucket, "bucket", "key")
    assert bucket.resets == 95
