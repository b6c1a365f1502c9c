"""Kept releases: a cut at any point leaves no release that cannot be gone back to, and the last ten stay."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from rtp.aws import changesets, own_bucket, release_objects
from rtp.aws.stacks import Stack
from rtp.aws.states import StackState
from rtp.config import Environment
from rtp.errors import NotFoundError, RefusedError, RtpError
from rtp.ops.stack import roll_back
from rtp.ops.stack.apply import kept
from rtp.ops.stack.build.synth import Assembly
from rtp.ops.stack.compare import approval
from rtp.ops.stack.compare.changes import ResourceChange
from rtp.ops.stack.operation import Operation, Target
from rtp.ops.stack.options import Options
from rtp.ops.stack.steps import Phase
from tests.unit.deploy.bucket import Bucket, lost, refusal
from tests.unit.deploy.fakes import FakeAws
from tests.unit.deploy.stubs import ACCOUNT, STS, stubbed

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.ops.stack.apply.kept_release import Kept
    from rtp.ops.stack.steps import Warn

CDK = f"cdk-hnb659fds-assets-{ACCOUNT}-us-east-1"
BASE = "releases/shop/dev/"


class World(Bucket):
    """Both buckets in one: keys of the CDK's begin with `cdk/`. refused: what CopyObject answers."""

    refused = ""

    def connected(self) -> Any:
        aws = self.aws(
            put_object=self._upload,
            list_objects_v2=self._list,
            copy_object=self._copy,
            head_object=self._head,
            delete_object=self._remove,
        )
        aws.account = ACCOUNT
        return aws

    def _upload(self, Body: Any, **params: Any) -> Any:
        answer = self.aws().answers["put_object"]
        return answer(Body=Body if isinstance(Body, bytes) else Body.read(), **params)

    def _list(self, Prefix: str, **_: Any) -> dict[str, Any]:
        self.before("list_objects_v2")
        return {"Contents": [self._entry(key) for key in sorted(self.objects) if key.startswith(Prefix)]}

    def _entry(self, key: str) -> dict[str, Any]:
        return {"Key": key, "LastModified": datetime.fromtimestamp(self.objects[key][2], UTC)}

    def _copy(self, Bucket: str, Key: str, CopySource: dict[str, str], **owners: Any) -> dict[str, Any]:
        self.before("copy_object")
        assert owners["ExpectedBucketOwner"] == owners["ExpectedSourceBucketOwner"] == ACCOUNT
        if self.refused:
            raise refusal(self.refused)
        source = f"cdk/{CopySource['Key']}" if CopySource["Bucket"] == CDK else CopySource["Key"]
        if source not in self.objects:
            raise refusal("NoSuchKey")
        self.objects[f"cdk/{Key}" if Bucket == CDK else Key] = self.objects[source]
        return {}

    def _head(self, Key: str, **_: Any) -> dict[str, Any]:
        if f"cdk/{Key}" not in self.objects:
            raise refusal("404")
        return {}

    def _remove(self, Key: str, **_: Any) -> dict[str, Any]:
        self.before("delete_object")
        self.objects.pop(Key, None)
        return {}


class Own:
    def check(self) -> None:
        """It is this run's."""


def leased(lease: Any = None) -> Operation:
    """A run that has the lease of the stack."""
    operation = Operation()
    operation.lease = lease or cast("Any", Own())
    return operation


def environment(tmp_path: Path) -> Environment:
    return Environment(name="dev", project="shop", root=tmp_path)


def assembly(folder: Path, release: str, *, layer: bytes = b"layer") -> Assembly:
    """What a synthesis leaves: template, code with the release's file, a layer, and their manifests."""
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / f"asset.{release}.zip", "w") as packed:
        packed.writestr("rtp/release", release)
    (folder / "asset.layer.zip").write_bytes(layer)
    place = {"S3Bucket": CDK, "S3Key": f"{release}.zip"}
    function = {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": "shop-dev-processor", "Code": place}}
    layer_version = {
        "Type": "AWS::Lambda::LayerVersion",
        "Properties": {"Content": {"S3Bucket": CDK, "S3Key": "layer.zip"}},
    }
    template = {"Resources": {"F": function, "L": layer_version}}
    files = {
        name: {"source": {"path": path}, "destinations": {"here": {"bucketName": CDK, "objectKey": key}}}
        for name, path, key in (
            ("code", f"asset.{release}.zip", f"{release}.zip"),
            ("layer", "asset.layer.zip", "layer.zip"),
            ("template", "shop-dev.template.json", "abc.json"),
        )
    }
    (folder / "shop-dev.assets.json").write_text(json.dumps({"files": files}))
    artifact = {"type": "aws:cloudformation:stack", "properties": {"tags": {"Project": "shop"}}}
    (folder / "manifest.json").write_text(json.dumps({"artifacts": {"shop-dev": artifact}}))
    return Assembly(folder, folder / "shop-dev.template.json", template, cached=False)


def keep(world: World, tmp_path: Path, release: str) -> list[Warn]:
    folder = tmp_path / release
    built = assembly(folder, release) if not folder.exists() else None
    if built is None:
        built = _reread(folder, release, tmp_path)
    target = Target(world.connected(), environment(tmp_path), paths={"F": "Processing/Api"})
    return list(kept.keep(target, built, leased()))


def _reread(folder: Path, release: str, tmp_path: Path) -> Assembly:
    other = assembly(tmp_path / f"{release}-again-{len(list(tmp_path.iterdir()))}", release)
    return Assembly(folder, folder / "shop-dev.template.json", other.template, cached=True)


def listed(world: World, tmp_path: Path) -> list[Kept]:
    return kept.listed(world.connected(), environment(tmp_path))


def names(number: int) -> str:
    return f"{number:012x}"


def is_whole(world: World, one: Kept) -> bool:
    return all(f"{BASE}assets/{key}" in world.objects for key in one.assets)


def test_a_release_is_kept_with_its_template_and_assets(tmp_path: Path) -> None:
    # Given a layer that the CDK has published, and code of a hotswap, which it has not
    world = World()
    world.objects["cdk/layer.zip"] = (b"layer", "e", 0.0)
    assert keep(world, tmp_path, names(1)) == []
    (one,) = listed(world, tmp_path)
    assert (one.release, one.number, one.before, one.tags) == (names(1), 1, "", {"Project": "shop"})
    assert set(one.assets) == {f"{names(1)}.zip", "layer.zip"}
    assert is_whole(world, one)
    # And it is read back as it was
    aws = world.connected()
    assert kept.template(aws, environment(tmp_path), one)["Resources"]["F"]["Properties"]["Code"]["S3Bucket"] == CDK
    file = kept.archive(aws, environment(tmp_path), one, tmp_path)
    assert file.name == f"asset.{names(1)}.zip" and zipfile.ZipFile(file).read("rtp/release") == names(1).encode()
    # And a deploy of the same writes nothing
    before = dict(world.objects)
    keep(world, tmp_path, names(1))
    assert world.objects == before


@pytest.mark.parametrize("code", ["NoSuchKey", "AccessDenied", "NoSuchBucket"])
def test_what_s3_cannot_copy_is_uploaded(tmp_path: Path, code: str) -> None:
    world = World(exists=True)
    world.refused = code
    assert keep(world, tmp_path, names(1)) == []
    assert is_whole(world, listed(world, tmp_path)[0])


def test_a_folder_that_cannot_be_copied_is_no_release(tmp_path: Path) -> None:
    world = World()
    built = assembly(tmp_path / "a", names(1))
    (tmp_path / "a" / "asset.layer.zip").unlink()
    (tmp_path / "a" / "asset.layer.zip").mkdir()
    (warning,) = kept.keep(Target(world.connected(), environment(tmp_path)), built, leased())
    assert "does not give out layer.zip" in warning.message
    assert listed(world, tmp_path) == []


def test_a_cut_at_any_call_leaves_whole_releases_and_the_next_deploy_completes(tmp_path: Path) -> None:
    calls: list[str] = []
    first = World()
    first.before = calls.append
    keep(first, tmp_path, names(1))
    for cut in range(len(calls)):
        world, seen = World(), 0

        def fail(_: str, cut: int = cut) -> None:
            nonlocal seen
            seen += 1
            if seen == cut + 1:
                raise lost()

        world.before = fail
        (warning,) = keep(world, tmp_path, names(1))
        assert warning.message.startswith("This release was not kept for `rtp rollback`: ")
        world.before = lambda _: None
        assert all(is_whole(world, one) for one in listed(world, tmp_path))
        assert keep(world, tmp_path, names(1)) == [] and len(listed(world, tmp_path)) == 1


def test_the_last_ten_stay_with_the_assets_that_they_share(tmp_path: Path) -> None:
    world = World()
    for number in range(1, 13):
        keep(world, tmp_path, names(number))
    every = listed(world, tmp_path)
    assert [one.number for one in every] == list(range(12, 2, -1))
    assert every[0].before == names(11) and all(is_whole(world, one) for one in every)
    assert f"{BASE}assets/{names(2)}.zip" not in world.objects and f"{BASE}assets/layer.zip" in world.objects
    # And a release that is deployed again keeps its number and its release before, and counts as the last
    keep(world, tmp_path, names(4))
    assert (listed(world, tmp_path)[0].number, listed(world, tmp_path)[0].before) == (4, names(3))


def test_without_the_lease_nothing_is_kept_and_a_lost_one_is_a_warning(tmp_path: Path) -> None:
    class Lost:
        def check(self) -> None:
            raise RefusedError("The lease of shop-dev went to another.")

    world, built = World(), assembly(tmp_path / "a", names(1))
    target = Target(world.connected(), environment(tmp_path))
    assert list(kept.keep(target, built, Operation())) == []
    (warning,) = kept.keep(target, built, leased(Lost()))
    assert "went to another" in warning.message and world.objects == {}


def test_objects_that_another_wrote_are_no_release_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    world = World()
    keep(world, tmp_path, names(1))
    world.objects[f"{BASE}{names(2)}/release.json"] = (b'{"release": 1}', "e", 0.0)
    world.objects[f"{BASE}{names(3)}/release.json"] = world.objects[f"{BASE}{names(1)}/release.json"]
    (one,) = listed(world, tmp_path)
    world.objects[f"{BASE}{names(1)}/template.json"] = (b"{}", "e", 0.0)
    world.objects[f"{BASE}assets/{names(1)}.zip"] = (b"other", "e", 0.0)
    aws = world.connected()
    for read in (
        lambda: kept.template(aws, environment(tmp_path), one),
        lambda: kept.archive(aws, environment(tmp_path), one, tmp_path),
    ):
        with pytest.raises(NotFoundError) as caught:
            read()
        assert caught.value.code == "no-release"


HUGE = "9" * 400
FORGED: dict[str, Any] = {
    "no UTF-8": b"\xff", "no text": b"", "a list": b"[]", "deep": b'{"x":' * 100_000, "large": b" " * 3_000_000,
    "deep and closed": b'{"x":' * 100_000 + b"1" + b"}" * 100_000,
    **{
        f"{name} {value!r:.12}": {name: value}
        for name, value in (
            ("release", "f" * 12), ("release", 1), ("number", -1), ("number", 1e999), ("number", int(HUGE)),
            ("order", 2**63), ("at", 10**14), ("at", -1), ("before", "--yes"), ("user", "x" * 1000), ("user", []),
            ("template", "x"), ("code", "x"), ("archive", "../../x"), ("archive", "--x"), ("archive", "a\nb"),
            ("archive", "missing.zip"), ("assets", {"k/../x": CDK}), ("assets", {"k": "arn:aws:s3:::x"}),
            ("assets", {"k": "x\x1b[2J"}), ("assets", [1]), ("tags", {"x" * 1000: "y"}), ("paths", {"F": 1}),
            ("commit", 7), ("commit", "x" * 1000),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_a_forged_release_is_named_and_the_others_are_listed(tmp_path: Path, forged: Any) -> None:
    world = World()
    for number in (1, 2):
        keep(world, tmp_path, names(number))
    key = f"{BASE}{names(2)}/release.json"
    good = json.loads(world.objects[key][0])
    body = forged if isinstance(forged, bytes) else json.dumps(good | forged).encode()
    world.objects[key] = (body, "e", world.now)
    found = kept.every(world.connected(), environment(tmp_path))
    assert [one.number for one in found.releases] == [1] and found.unreadable == [key]
    # And a deploy keeps its release beside it
    assert keep(world, tmp_path, names(3)) == []
    assert [one.release for one in listed(world, tmp_path)] == [names(3), names(1)]


def test_of_thousands_of_releases_and_odd_names_some_are_read_and_the_others_named(tmp_path: Path) -> None:
    world, calls = World(), list[str]()
    for number in range(3000):
        world.objects[f"{BASE}{names(number)}/release.json"] = (b"{}", "e", world.now + number)
    odd = ["--yes", "..", "a\nb", "\x1b[2J", "\u202ex", names(11).upper(), f"{names(1)} ", "x" * 900, ""]
    for name in odd:
        world.objects[f"{BASE}{name}/release.json"] = (b"{}", "e", world.now)
    world.now += 5000
    keep(world, tmp_path, names(7777))
    world.before = calls.append
    found = kept.every(world.connected(), environment(tmp_path))
    assert [one.release for one in found.releases] == [names(7777)]
    assert len(found.unreadable) == 3000 + len(odd) and calls.count("get_object") == 100
    for name in ("--yes", "..", "a\nb", ""):
        with pytest.raises(RtpError) as caught:
            roll_back._chosen(environment(tmp_path), found.releases, None, name)
        assert caught.value.code == "no-release"


TEMPLATES = ["[]", "7", "{}", "{", '{"Resources": []}', '{"Resources": {"A": 1}}', '{"Resources": {"A": {}}}',
    '{"Resources": {"A": {"Type": 1}}}', '{"Resources": {"A": {"Type": "x", "Properties": []}}}',
    '{"Resources": {}, "Outputs": {"A": 1}}', '{"Resources": {}, "Parameters": []}',
    '{"Resources": {}, "Metadata": NaN}', '{"Resources": {"A":' * 20_000, '{"a":' * 300 + "1" + "}" * 300,
    '{"Resources": {}, "Metadata": {}' + " " * 2_000_000 + "}",
]  # fmt: skip


@pytest.mark.parametrize("text", TEMPLATES, ids=range(len(TEMPLATES)))
def test_a_forged_template_with_its_hash_is_refused(tmp_path: Path, text: str) -> None:
    world = World()
    keep(world, tmp_path, names(1))
    key = f"{BASE}{names(1)}/release.json"
    good = json.loads(world.objects[key][0])
    forged = json.dumps(good | {"template": hashlib.sha256(text.encode()).hexdigest()}).encode()
    world.objects[key] = (forged, "e", 0.0)
    world.objects[f"{BASE}{names(1)}/template.json"] = (text.encode(), "e", 0.0)
    (one,) = listed(world, tmp_path)
    with pytest.raises(RtpError) as caught:
        kept.template(world.connected(), environment(tmp_path), one)
    assert caught.value.code in ("no-release", "object-too-large")


def test_assets_that_the_cdks_bucket_has_lost_are_copied_back_or_used_where_they_are(tmp_path: Path) -> None:
    world, at = World(), environment(tmp_path)
    keep(world, tmp_path, names(1))
    world.objects["cdk/layer.zip"] = (b"layer", "e", 0.0)
    (one,), aws = listed(world, tmp_path), world.connected()
    assert kept.publish_again(aws, at, one) == frozenset() and f"cdk/{names(1)}.zip" in world.objects
    # Given a CDK's bucket that takes nothing
    del world.objects[f"cdk/{names(1)}.zip"]
    world.refused = "AccessDenied"
    keys = kept.publish_again(aws, at, one)
    assert keys == {f"{names(1)}.zip"}
    moved = kept.relocated(aws, at, kept.template(aws, at, one), keys)
    own = {"S3Bucket": own_bucket.name(aws), "S3Key": f"{BASE}assets/{names(1)}.zip"}
    assert moved["Resources"]["F"]["Properties"]["Code"] == own
    assert moved["Resources"]["L"]["Properties"]["Content"] == {"S3Bucket": CDK, "S3Key": "layer.zip"}


def test_s3_takes_a_copy_as_it_is_made() -> None:
    """Botocore checks the names and types of the parameters."""
    with stubbed("s3", "sts") as (aws, stubs):
        stubs["sts"].add_response("get_caller_identity", STS)
        stubs["s3"].add_response("copy_object", {})
        assert release_objects.copy_in(aws, BASE, "k.zip", CDK)


def test_a_change_set_of_a_rollback_removes_the_alarms_of_the_last_update() -> None:
    aws: Any = FakeAws({"create_change_set": lambda **_: {}})
    changesets.create(aws, "s", "c", "{}", tags=None, capabilities=[], clear_triggers=True)
    changesets.create(aws, "s", "c", "{}", tags=None, capabilities=[])
    first, second = (params for _, params in aws.asked)
    assert first["RollbackConfiguration"] == {"RollbackTriggers": [], "MonitoringTimeInMinutes": 0}
    assert "RollbackConfiguration" not in second


@pytest.mark.parametrize(
    ("kind", "action", "maybe", "refused"),
    [
        ("AWS::DynamoDB::Table", "replace", False, True),
        ("AWS::S3::Bucket", "remove", False, True),
        ("AWS::KMS::Key", "modify", True, True),
        ("AWS::SQS::Queue", "modify", False, False),
        ("AWS::Logs::LogGroup", "remove", False, False),
        ("AWS::Lambda::LayerVersion", "replace", False, False),
        ("AWS::SQS::Queue", "add", False, False),
    ],
)
def test_data_is_never_replaced_or_removed(kind: str, action: str, *, maybe: bool, refused: bool) -> None:
    plan = approval.Plan("shop-dev", "update", (ResourceChange(action, "X", kind, "Storage/X", maybe=maybe),))
    if not refused:
        approval.check_data(plan)
        return
    with pytest.raises(RefusedError, match="Storage/X would be") as caught:
        approval.check_data(plan)
    assert caught.value.code == "rollback-loses-data"


@pytest.mark.parametrize(("protected", "stack_protected"), [(False, False), (True, False), (False, True)])
def test_only_code_is_swapped_directly_where_nothing_is_protected(
    tmp_path: Path, *, protected: bool, stack_protected: bool
) -> None:
    # Given a stack that differs from the kept release by its code alone
    world = World()
    world.objects["cdk/layer.zip"] = (b"layer", "e", 0.0)
    keep(world, tmp_path, names(1))
    (chosen,) = listed(world, tmp_path)
    aws = world.connected()
    aws.answers["get_template"] = lambda **_: {
        "TemplateBody": json.dumps(assembly(tmp_path / "now", names(2)).template)
    }
    at = replace(environment(tmp_path), protected=protected)
    stack = Stack("arn:stack", "shop-dev", StackState.of("UPDATE_COMPLETE"), protected=stack_protected)
    # When it is rolled back without being carried out / Then it goes by CloudFormation where something is protected
    steps = roll_back._bring(Target(aws, at), stack, chosen, tmp_path, Options(dry_run=True), leased())
    first = next(steps)
    is_direct = isinstance(first, approval.Plan)
    assert is_direct is not (protected or stack_protected)
    assert is_direct or (isinstance(first, Phase) and first.name == "preparing the change set")


def test_the_default_is_the_release_before_the_one_that_runs(tmp_path: Path) -> None:
    world = World()
    for number in (1, 2, 3):
        keep(world, tmp_path, names(number))
    every = listed(world, tmp_path)
    first, third = every[2], every[0]
    choose = roll_back._chosen
    at = environment(tmp_path)
    assert choose(at, every, third, None).number == 2
    assert choose(at, every, None, None).number == 3  # what runs is not kept: a save of --watch, or a change by hand
    assert choose(at, every, third, "R1") == choose(at, every, third, names(1)) == first
    for present, name in ((first, None), (third, "r9"), (third, "fff"), (third, "zz"), (None, "0")):
        with pytest.raises(RtpError) as caught:
            choose(at, every, present, name)
        assert caught.value.code == "no-release" and "r3" in caught.value.hint
    with pytest.raises(RtpError) as caught:
        choose(at, every, third, "0000")
    assert caught.value.code == "ambiguous-id"
    with pytest.raises(RtpError, match="nothing is kept"):
        choose(at, [], None, None)
