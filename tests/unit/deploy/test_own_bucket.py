"""rtp's own bucket: every call names its owner, a cut at any point is completed, nobody else's bucket is touched."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import own_bucket as bucket
from rtp.errors import AwsError, RefusedError, RtpError
from rtp.ops.doctor_account import leases
from rtp.ops.stack import own_bucket
from rtp.ops.work.clock import Clock
from tests.unit.deploy.bucket import Bucket, refusal
from tests.unit.deploy.fakes import FakeAws, tags
from tests.unit.deploy.stubs import ACCOUNT, STS, stubbed

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = f"rtp-operations-{ACCOUNT}-us-east-1"
TAGS = [{"Key": "rtp:bucket", "Value": "leases"}, {"Key": "ManagedBy", "Value": "rtp"}]
SETTINGS = (
    "put_public_access_block",
    "put_bucket_ownership_controls",
    "put_bucket_tagging",
    "put_bucket_encryption",
    "put_bucket_versioning",
    "put_bucket_lifecycle_configuration",
    "put_bucket_policy",
)


class World:
    """An account with or without the bucket. fails: operations that fail, by the code of their next answer."""

    def __init__(self, *, exists: bool = False, tagged: list[dict[str, str]] | None = None, versions: int = 0) -> None:
        self.exists, self.tagged, self.versions = exists, tagged or [], versions
        self.fails: dict[str, str] = {}
        self.settings: dict[str, Any] = {}
        self.stacks: list[dict[str, Any]] = []
        self.leases = Bucket()

    def aws(self, region: str = "us-east-1") -> Any:
        answers: dict[str, Callable[..., Any]] = {
            "head_bucket": self._head,
            "create_bucket": self._create,
            "get_bucket_tagging": self._tags,
            "list_object_versions": self._versions,
            "delete_objects": self._delete_objects,
            "delete_bucket": self._delete,
            "describe_stacks": lambda **_: {"Stacks": self.stacks},
            "list_objects_v2": lambda **_: {"Contents": [{"Key": key} for key in self.leases.objects]},
            "get_object": self.leases.aws().answers["get_object"],
            **{name: self._setter(name) for name in SETTINGS},
        }
        checked = {name: self._checked(name, answer) for name, answer in answers.items()}
        return FakeAws(checked, region=region)

    def _checked(self, name: str, answer: Callable[..., Any]) -> Callable[..., Any]:
        def call(**params: Any) -> Any:
            if name not in ("create_bucket", "describe_stacks"):
                assert params["ExpectedBucketOwner"] == ACCOUNT, name
            if code := self.fails.pop(name, ""):
                raise refusal(code)
            return answer(**params)

        return call

    def _head(self, **_: Any) -> dict[str, Any]:
        if not self.exists:
            raise refusal("404")
        return {}

    def _create(self, **params: Any) -> dict[str, Any]:
        self.exists, self.settings["create"] = True, params
        return {}

    def _tags(self, **_: Any) -> dict[str, Any]:
        if not self.tagged:
            raise refusal("NoSuchTagSet")
        return {"TagSet": self.tagged}

    def _versions(self, **_: Any) -> dict[str, Any]:
        return {"Versions": [{"Key": f"k{n}", "VersionId": "v"} for n in range(self.versions)]}

    def _delete_objects(self, **_: Any) -> dict[str, Any]:
        self.versions = 0
        return {}

    def _delete(self, **_: Any) -> dict[str, Any]:
        self.exists = False
        return {}

    def _setter(self, name: str) -> Callable[..., Any]:
        def put(**params: Any) -> dict[str, Any]:
            self.settings[name] = params
            if name == "put_bucket_tagging":
                self.tagged = params["Tagging"]["TagSet"]
            return {}

        return put


def test_the_bucket_is_private_encrypted_versioned_and_expires() -> None:
    world = World()
    assert own_bucket.ensure(world.aws("eu-west-1")) == own_bucket.Bucket(NAME.replace("us-east-1", "eu-west-1"), True)
    settings = world.settings
    assert settings["create"]["CreateBucketConfiguration"] == {"LocationConstraint": "eu-west-1"}
    assert set(settings["put_public_access_block"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert "BucketOwnerEnforced" in str(settings["put_bucket_ownership_controls"])
    assert "AES256" in str(settings["put_bucket_encryption"])
    assert settings["put_bucket_versioning"]["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = {r["ID"]: r for r in settings["put_bucket_lifecycle_configuration"]["LifecycleConfiguration"]["Rules"]}
    assert rules["leases"]["Expiration"] == {"Days": 1} and rules["leases"]["Filter"] == {"Prefix": "leases/"}
    assert rules["history"]["Expiration"] == {"Days": 400} and rules["history"]["Filter"] == {"Prefix": "history/"}
    assert rules["journals"]["Expiration"] == {"Days": 30} and rules["journals"]["Filter"] == {"Prefix": "journals/"}
    statements = json.loads(settings["put_bucket_policy"]["Policy"])["Statement"]
    conditions = [s["Condition"] for s in statements if s["Effect"] == "Deny"]
    assert conditions == [{"Bool": {"aws:SecureTransport": "false"}}, {"NumericLessThan": {"s3:TlsVersion": "1.2"}}]


def test_s3_takes_every_call_as_it_is_made() -> None:
    """Botocore checks the names and types of the parameters."""
    with stubbed("s3", "sts") as (aws, stubs):
        s3 = stubs["s3"]
        stubs["sts"].add_response("get_caller_identity", STS)
        s3.add_client_error("head_bucket", "404", "Not Found", 404)
        s3.add_response("create_bucket", {}, {"Bucket": NAME})
        for name in SETTINGS:
            s3.add_response(name, {})
        assert bucket.create(aws) is True
        s3.add_response("head_bucket", {})
        s3.add_response("get_bucket_tagging", {"TagSet": TAGS})
        s3.add_response("list_object_versions", {"Versions": [{"Key": "k", "VersionId": "v"}]})
        s3.add_response("delete_objects", {})
        s3.add_response("delete_bucket", {}, {"Bucket": NAME, "ExpectedBucketOwner": ACCOUNT})
        assert bucket.remove(aws) == 1


@pytest.mark.parametrize("at", ["create_bucket", *SETTINGS])
def test_a_cut_at_any_point_is_completed_by_a_repetition(at: str) -> None:
    world = World()
    world.fails[at] = "InternalError"
    with pytest.raises(AwsError):
        own_bucket.ensure(world.aws())
    own_bucket.ensure(world.aws())
    assert world.settings.keys() == {"create", *SETTINGS}


@pytest.mark.parametrize("code", ["NoSuchBucket", "OperationAborted"])
def test_a_new_bucket_that_s3_does_not_know_everywhere_yet_is_waited_for(code: str) -> None:
    world = World()
    world.fails["put_public_access_block"] = code
    now = [0.0]
    clock = Clock(monotonic=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
    assert own_bucket.ensure(world.aws(), clock).is_new == (code == "NoSuchBucket")
    assert now[0] > 0


@pytest.mark.parametrize(
    "world",
    [World(exists=True, tagged=[{"Key": "Team", "Value": "x"}]), World(exists=True, versions=1)],
    ids=["with other tags", "with objects"],
)
def test_a_bucket_that_rtp_did_not_make_is_not_changed(world: World) -> None:
    for act in (own_bucket.ensure, own_bucket.remove):
        with pytest.raises(RefusedError) as caught:
            act(world.aws())
        assert caught.value.code == "foreign-bucket"
    assert world.settings == {} and world.exists


def test_a_name_that_another_account_has_is_reported() -> None:
    world = World()
    world.fails = {"head_bucket": "403", "create_bucket": "BucketAlreadyExists"}
    with pytest.raises(RtpError, match="exists in another account") as caught:
        own_bucket.ensure(world.aws())
    assert caught.value.code == "bucket-taken"


def test_nothing_is_removed_while_a_stack_of_rtp_exists() -> None:
    world = World(exists=True, tagged=TAGS)
    world.stacks = [
        {"StackName": "other", "StackStatus": "CREATE_COMPLETE", "Tags": tags("shop", "dev")},
        {"StackName": "shop-dev", "StackStatus": "ROLLBACK_COMPLETE", "Tags": tags("shop", "dev")},
    ]
    with pytest.raises(RefusedError, match=r"us-east-1.*: shop-dev\. Nothing was deleted") as caught:
        own_bucket.remove(world.aws())
    assert caught.value.code == "bucket-in-use" and world.exists
    # And stacks that are not rtp's need no bucket of rtp
    world.stacks = world.stacks[:1]
    assert own_bucket.remove(world.aws()).removed


def test_nothing_is_removed_while_a_first_deploy_runs() -> None:
    world = World(exists=True, tagged=TAGS)
    body = b'{"user": "ann", "host": "laptop", "pid": 9, "what": "deploy", "lasts_s": 300}'
    world.leases.objects["leases/shop-new.json"] = (body, '"1"', world.leases.now)
    with pytest.raises(RefusedError, match="shop-new by `rtp deploy` of ann@laptop") as caught:
        own_bucket.remove(world.aws())
    assert caught.value.code == "locked" and world.exists
    world.leases.now += 301
    assert own_bucket.remove(world.aws()).removed


def test_a_bucket_that_is_written_to_meanwhile_stays() -> None:
    world = World(exists=True, tagged=TAGS, versions=3)
    world.fails["delete_bucket"] = "BucketNotEmpty"
    with pytest.raises(RefusedError, match="emptied and not deleted"):
        own_bucket.remove(world.aws())
    assert own_bucket.remove(world.aws()).removed


def test_removing_what_is_not_there_is_no_error() -> None:
    removed = own_bucket.remove(World().aws())
    assert (removed.removed, removed.objects, removed.bucket) == (False, 0, NAME)


@pytest.mark.parametrize(("exists", "code", "verdict"), [(True, "", "ok"), (False, "", "warn"), (True, "403", "warn")])
def test_doctor_says_whether_there_are_leases(exists: bool, code: str, verdict: str) -> None:
    world = World(exists=exists)
    if code:
        world.fails["head_bucket"] = code
    check = leases(world.aws())
    assert check.verdict == verdict
    assert exists or "rtp bootstrap --bucket-only" in check.fix
