"""A bucket in plain Python whose writes take conditions, as S3's do, with a clock and faults that tests set."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from rtp.errors import AwsError, EndpointError, MissingError
from tests.unit.deploy.fakes import FakeAws

if TYPE_CHECKING:
    from collections.abc import Callable


def refusal(code: str) -> AwsError:
    """S3's answer with this code."""
    return AwsError(f"s3: {code}", service_code=code, code="access-denied" if code == "AccessDenied" else None)


def lost() -> EndpointError:
    """No answer."""
    return EndpointError("Nothing answered.")


@dataclass
class Bucket:
    """Objects by key, each with its body, ETag and time. now: S3's clock, epoch s. before, after: called per operation.

    lose: operations that are carried out and whose first answer is lost; botocore repeats them once.
    """

    now: float = 1_800_000_000.0
    exists: bool = True
    objects: dict[str, tuple[bytes, str, float]] = field(default_factory=dict)
    before: Callable[[str], None] = lambda _operation: None
    lose: set[str] = field(default_factory=set)

    def aws(self, *, local: bool = False, **more: Any) -> FakeAws:
        answers = {
            "put_object": self._repeated("put_object", self._put),
            "get_object": self._repeated("get_object", self._get),
            "delete_object": self._repeated("delete_object", self._delete),
            **more,
        }
        return FakeAws(answers, local=local)

    def _repeated(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def call(**params: Any) -> Any:
            self.before(name)
            if params.pop("ExpectedBucketOwner", "") not in ("111122223333", "000000000000"):
                raise AssertionError(f"{name} does not name the bucket's owner")
            if not self.exists:
                raise MissingError("no bucket", service_code="NoSuchBucket")
            answer = act(**params)
            if name in self.lose:
                self.lose.remove(name)
                answer = act(**params)
            headers = {"date": formatdate(self.now, usegmt=True)}
            return {**answer, "ResponseMetadata": {"HTTPHeaders": headers}}

        return call

    def _check(self, key: str, if_match: str) -> None:
        if if_match and key not in self.objects:
            raise refusal("NoSuchKey")
        if if_match and self.objects[key][1] != if_match:
            raise refusal("PreconditionFailed")

    def _put(self, Key: str, Body: bytes, IfMatch: str = "", IfNoneMatch: str = "", **_: Any) -> dict[str, Any]:
        self._check(Key, IfMatch)
        if IfNoneMatch == "*" and Key in self.objects:
            raise refusal("PreconditionFailed")
        etag = f'"{hashlib.md5(Body, usedforsecurity=False).hexdigest()}"'
        self.objects[Key] = (Body, etag, self.now)
        return {"ETag": etag}

    def _get(self, Key: str, **_: Any) -> dict[str, Any]:
        if Key not in self.objects:
            raise refusal("NoSuchKey")
        body, etag, written = self.objects[Key]
        return {"Body": io.BytesIO(body), "ETag": etag, "LastModified": datetime.fromtimestamp(written, UTC)}

    def _delete(self, Key: str, IfMatch: str, **_: Any) -> dict[str, Any]:
        self._check(Key, IfMatch)
        del self.objects[Key]
        return {}
