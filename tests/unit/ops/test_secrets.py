"""Which secrets are set, how AWS is asked, and what is never in an error."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from rtp.config import Environment
from rtp.config.settings import Settings
from rtp.errors import AwsError, ConfigError, NotFoundError, RefusedError, UsageError
from rtp.ops import doctor_account
from rtp.ops import secrets as op
from rtp.ops.stack.teardown import secrets as teardown
from tests.unit.deploy.fakes import FakeAws
from tests.unit.deploy.stubs import stubbed

if TYPE_CHECKING:
    from pathlib import Path

VALUE = "hunter2-canary"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TAGS = [("Project", "shop"), ("Environment", "dev"), ("ManagedBy", "CDK")]
TAG_LIST = [{"Key": key, "Value": value} for key, value in TAGS]
OWN = "ssm:/shop/dev/TOKEN"


def environment(root: Path, secrets: dict[str, str] | None = None, **values: Any) -> Environment:
    settings = Settings(secrets={"TOKEN": OWN} if secrets is None else secrets, secrets_key=values.pop("key", None))
    return Environment(name="dev", project="shop", root=root, settings=settings, **values)


def account(parameters: dict[str, dict[str, Any]] | None = None, **answers: Any) -> FakeAws:
    """An account with these parameters; what is deleted is gone."""
    stored = parameters or {}

    def describe(ParameterFilters: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        (condition,) = ParameterFilters
        if condition["Key"] == "Name":
            names = [name for name in condition["Values"] if name in stored]
        else:
            names = [name for name in stored if name.startswith(f"{condition['Values'][0]}/")]
        rows = [{"Name": n, "Type": "SecureString", "LastModifiedDate": NOW, **stored[n]} for n in names]
        return {"Parameters": rows}

    def delete(Name: str) -> dict[str, Any]:
        if stored.pop(Name, None) is None:
            raise AwsError("none", service_code="ParameterNotFound")
        return {}

    tags = {"list_tags_for_resource": lambda **_: {"TagList": TAG_LIST}}
    return FakeAws({"describe_parameters": describe, "delete_parameter": delete, **tags, **answers})


def denied(**_: Any) -> Any:
    raise AwsError("no permission", code="access-denied")


def test_each_state_is_listed_without_a_value(tmp_path: Path) -> None:
    # Given secrets in every state, one of them left over from before
    env = environment(
        tmp_path,
        {
            "TOKEN": OWN,
            "GONE": "ssm:/shop/dev/GONE",
            "PLAIN": "ssm:/shared/plain",
            "DB": "secretsmanager:db#p",
            "ENDING": "secretsmanager:ending",
            "THERE": "arn:aws:ssm:eu-west-1:444455556666:parameter/x",
        },
    )

    def secret(SecretId: str) -> dict[str, Any]:
        if SecretId == "db":
            return {"LastChangedDate": NOW}
        return {"LastChangedDate": NOW, "DeletedDate": NOW}

    stored = {"/shop/dev/TOKEN": {}, "/shared/plain": {"Type": "String"}, "/shop/dev/OLD": {}, "/shop/dev/a/b": {}}
    aws = account(stored, describe_secret=secret)
    # When they are listed
    found = op.listing(aws, env)  # type: ignore[arg-type]
    # Then each has its state, and no value was asked for
    assert [(s.name, s.state) for s in found.secrets] == [
        ("TOKEN", "set"),
        ("GONE", "missing"),
        ("PLAIN", "set"),
        ("DB", "set"),
        ("ENDING", "missing"),
        ("THERE", "unchecked"),
        ("OLD", "undeclared"),
    ]
    assert found.secrets[0].changed == "2026-01-01T00:00:00.000Z"
    assert found.secrets[2].note == "it is not encrypted (type String)"
    assert {s.name for s in found.missing} == {"GONE", "ENDING"}
    assert not {"get_parameter", "get_secret_value"} & set(aws.operations())


def test_parameters_of_others_in_the_same_folder_are_left_out(tmp_path: Path) -> None:
    aws = account({"/shop/dev/theirs": {}}, list_tags_for_resource=lambda **_: {"TagList": []})
    assert op.listing(aws, environment(tmp_path, {})).secrets == []  # type: ignore[arg-type]
    assert teardown.of(aws, environment(tmp_path, {}), keep_data=False).names == ()  # type: ignore[arg-type]


def test_a_new_parameter_is_encrypted_and_tagged(tmp_path: Path) -> None:
    with stubbed("ssm") as (aws, stubs):
        stubs["ssm"].add_response("describe_parameters", {"Parameters": []})
        expected = {"Name": "/shop/dev/TOKEN", "Value": VALUE, "Type": "SecureString", "Tags": TAG_LIST}
        stubs["ssm"].add_response("put_parameter", {"Version": 1}, expected)
        change = op.set_value(aws, environment(tmp_path), "TOKEN", VALUE)
    assert change == op.Change("TOKEN", OWN, "created")


def test_a_changed_parameter_keeps_its_key_which_ssm_would_change(tmp_path: Path) -> None:
    stored = {"Name": "/shop/dev/TOKEN", "Type": "SecureString", "KeyId": "alias/team"}
    with stubbed("ssm") as (aws, stubs):
        stubs["ssm"].add_response("describe_parameters", {"Parameters": [stored]})
        stubs["ssm"].add_client_error("put_parameter", "ParameterAlreadyExists")
        expected = {"Name": "/shop/dev/TOKEN", "Value": VALUE, "Type": "SecureString", "KeyId": "alias/team"}
        stubs["ssm"].add_response("put_parameter", {"Version": 2}, {**expected, "Overwrite": True})
        assert op.set_value(aws, environment(tmp_path), "TOKEN", VALUE).status == "updated"


def test_the_key_of_the_settings_is_used_and_a_long_value_is_an_advanced_parameter(tmp_path: Path) -> None:
    with stubbed("ssm") as (aws, stubs):
        expected = {"Name": "/shop/dev/TOKEN", "Value": "x" * 5000, "Type": "SecureString", "Tags": TAG_LIST}
        expected |= {"KeyId": "alias/own", "Tier": "Advanced"}
        stubs["ssm"].add_response("put_parameter", {"Version": 1}, expected)
        op.set_value(aws, environment(tmp_path, key="alias/own"), "TOKEN", "x" * 5000)


def test_one_member_of_a_secret_is_set_and_the_others_stay(tmp_path: Path) -> None:
    env = environment(tmp_path, {"DB": "secretsmanager:db#password"})
    with stubbed("secretsmanager") as (aws, stubs):
        stub = stubs["secretsmanager"]
        stub.add_response("describe_secret", {"Name": "db"})
        found = {"SecretString": '{"user": "u", "password": "old"}', "VersionId": "0" * 32}
        stub.add_response("get_secret_value", found)
        expected = {"SecretId": "db", "SecretString": f'{{"user": "u", "password": "{VALUE}"}}'}
        expected |= {"VersionStages": ["rtp"]}  # type: ignore[dict-item]
        stub.add_response("put_secret_value", {"VersionId": "1" * 32}, expected)
        moved = {"VersionStage": "AWSCURRENT", "MoveToVersionId": "1" * 32, "RemoveFromVersionId": "0" * 32}
        stub.add_response("update_secret_version_stage", {}, {"SecretId": "db", **moved})
        assert op.set_value(aws, env, "DB", VALUE).status == "updated"
    with stubbed("secretsmanager") as (aws, stubs):
        stub = stubs["secretsmanager"]
        stub.add_response("describe_secret", {"Name": "db"})
        stub.add_response("get_secret_value", {"SecretString": "not json, hunter2"})
        with pytest.raises(RefusedError, match="no JSON object") as caught:
            op.set_value(aws, env, "DB", VALUE)
    assert "hunter2" not in caught.value.message


class Vault:
    """Secrets Manager with one secret, of which another operator sets a member between a read and a write."""

    def __init__(self, others: int, **members: str) -> None:
        self.versions, self.current = [json.dumps(members)] if members else [], 0
        self._others = others

    def aws(self) -> FakeAws:
        names = ("describe_secret", "get_secret_value", "put_secret_value", "update_secret_version_stage")
        return FakeAws({name: getattr(self, name) for name in (*names, "create_secret")})

    @property
    def members(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.versions[self.current])
        return found

    def describe_secret(self, **_: Any) -> dict[str, Any]:
        if not self.versions:
            self._interfere()
            raise AwsError("none", service_code="ResourceNotFoundException")
        return {"Name": "db"}

    def get_secret_value(self, **_: Any) -> dict[str, Any]:
        found = {"SecretString": self.versions[self.current], "VersionId": str(self.current)}
        self._interfere()
        return found

    def _interfere(self) -> None:
        if self._others:
            self._others -= 1
            members = self.members if self.versions else {}
            self.versions.append(json.dumps({**members, f"other{self._others}": "x"}))
            self.current = len(self.versions) - 1

    def create_secret(self, SecretString: str, **_: Any) -> dict[str, Any]:
        if self.versions:
            raise AwsError("there is one", service_code="ResourceExistsException")
        self.versions.append(SecretString)
        return {}

    def put_secret_value(self, SecretString: str, VersionStages: list[str], **_: Any) -> dict[str, Any]:
        assert VersionStages != ["AWSCURRENT"]
        self.versions.append(SecretString)
        return {"VersionId": str(len(self.versions) - 1)}

    def update_secret_version_stage(self, MoveToVersionId: str, RemoveFromVersionId: str, **_: Any) -> dict[str, Any]:
        if RemoveFromVersionId != str(self.current):
            raise AwsError("attached elsewhere", service_code="InvalidParameterException")
        self.current = int(MoveToVersionId)
        return {}


@pytest.mark.parametrize("members", [{"user": "u"}, {}], ids=["changed", "new"])
def test_two_operators_may_set_two_members_at_once(tmp_path: Path, members: dict[str, str]) -> None:
    vault = Vault(1, **members)
    op.set_value(vault.aws(), environment(tmp_path, {"DB": "secretsmanager:db#password"}), "DB", VALUE)  # type: ignore[arg-type]
    assert vault.members == {**members, "other0": "x", "password": VALUE}


def test_a_secret_that_changes_again_and_again_is_not_set(tmp_path: Path) -> None:
    vault = Vault(99, user="u")
    with pytest.raises(RefusedError, match="Several commands change the secret db") as caught:
        op.set_value(vault.aws(), environment(tmp_path, {"DB": "secretsmanager:db#password"}), "DB", VALUE)  # type: ignore[arg-type]
    assert caught.value.code == "locked" and "password" not in vault.members


def test_an_error_of_aws_does_not_repeat_the_value(tmp_path: Path) -> None:
    with stubbed("ssm") as (aws, stubs):
        stubs["ssm"].add_response("describe_parameters", {"Parameters": []})
        stubs["ssm"].add_client_error("put_parameter", "ValidationException", f"Value '{VALUE}' is not allowed")
        with pytest.raises(AwsError) as caught:
            op.set_value(aws, environment(tmp_path), "TOKEN", VALUE)
    assert VALUE not in caught.value.message and "***" in caught.value.message
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


@pytest.mark.parametrize(("value", "why"), [("", "is empty"), ("x" * 8193, "8,193 bytes; its place takes 8,192")])
def test_what_cannot_be_a_value_is_refused_before_aws_is_asked(tmp_path: Path, value: str, why: str) -> None:
    with stubbed() as (aws, _), pytest.raises(UsageError, match=why):
        op.set_value(aws, environment(tmp_path), "TOKEN", value)


def test_another_name_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with stubbed() as (aws, _), pytest.raises(ConfigError, match="Did you mean 'TOKEN'"):
        op.set_value(aws, environment(tmp_path), "TOKN", VALUE)


def test_what_is_elsewhere_or_shared_is_not_changed(tmp_path: Path) -> None:
    there = environment(tmp_path, {"TOKEN": "arn:aws:ssm:eu-west-1:444455556666:parameter/x"})
    with pytest.raises(RefusedError, match="account 444455556666, eu-west-1"):
        op.set_value(account(), there, "TOKEN", VALUE)  # type: ignore[arg-type]
    shared = environment(tmp_path, {"DB": "secretsmanager:db#p"})
    with pytest.raises(RefusedError, match="one member of the secret db"):
        op.delete(account(), shared, "DB")  # type: ignore[arg-type]


def test_deleting_takes_declared_and_left_over_secrets_and_no_others(tmp_path: Path) -> None:
    env = environment(tmp_path)
    aws: Any = account({"/shop/dev/TOKEN": {}, "/shop/dev/OLD": {}})
    assert op.delete(aws, env, "TOKEN").status == "deleted"
    assert op.delete(aws, env, "OLD").status == "deleted"
    with pytest.raises(NotFoundError, match="TOKEN is not set"):
        op.delete(aws, env, "TOKEN")
    with pytest.raises(ConfigError, match="declares no secret 'OLD'"):
        op.delete(aws, env, "OLD")


def test_a_deploy_is_refused_while_an_own_secret_has_no_value(tmp_path: Path) -> None:
    env = environment(tmp_path, {"TOKEN": OWN, "OTHER": "ssm:/shop/dev/OTHER", "SHARED": "ssm:/shared/x"})
    with pytest.raises(ConfigError, match="no value for TOKEN, OTHER; nothing was deployed") as caught:
        op.require(account(), env)  # type: ignore[arg-type]
    assert caught.value.hint == "Run `rtp secrets set TOKEN`, `rtp secrets set OTHER`, then deploy again."
    # One that others keep is a warning: it may be part of this very stack
    both = account({"/shop/dev/TOKEN": {}, "/shop/dev/OTHER": {}})
    assert op.require(both, env) == [  # type: ignore[arg-type]
        "The secret SHARED (ssm:/shared/x) is not set; events that use it fail until it is."
    ]


def test_without_permission_to_look_a_deploy_goes_on_with_a_warning(tmp_path: Path) -> None:
    aws: Any = account(describe_parameters=denied)
    assert op.require(aws, environment(tmp_path)) == ["Whether the secrets are set could not be checked: no permission"]
    assert op.require(FakeAws(), environment(tmp_path, {})) == []  # type: ignore[arg-type]


def test_doctor_names_what_is_missing(tmp_path: Path) -> None:
    env = environment(tmp_path, {"TOKEN": OWN, "OTHER": "ssm:/shop/dev/OTHER"})
    check = doctor_account.secret_values(account({"/shop/dev/OTHER": {}}), env)  # type: ignore[arg-type]
    assert (check.verdict, check.detail) == ("warn", "no value for TOKEN")
    assert check.fix == "Run `rtp secrets set TOKEN`."
    both: Any = account({"/shop/dev/TOKEN": {}, "/shop/dev/OTHER": {"Type": "String"}})
    assert "OTHER: it is not encrypted" in doctor_account.secret_values(both, env).detail
    assert doctor_account.secret_values(FakeAws(), environment(tmp_path, {})).verdict == "ok"  # type: ignore[arg-type]
    refused: Any = account(describe_parameters=denied)
    assert doctor_account.secret_values(refused, env).verdict == "warn"


# destroy


def test_a_destroy_deletes_the_own_secrets_and_proves_it(tmp_path: Path) -> None:
    env = environment(tmp_path, {"TOKEN": OWN, "SHARED": "ssm:/shared/x"})
    aws: Any = account({"/shop/dev/TOKEN": {}, "/shop/dev/OLD": {}, "/shared/x": {}})
    own = teardown.of(aws, env, keep_data=False)
    assert [item.name for item in own.goes] == ["/shop/dev/TOKEN", "/shop/dev/OLD"]
    assert own.stays == () and "ago" in own.goes[0].note
    assert teardown.delete(aws, own) == (2, ())


@pytest.mark.parametrize(
    ("protected", "keep_data", "why"), [(True, False, "kept: dev is protected"), (False, True, "kept, as asked")]
)
def test_secrets_are_kept_with_the_data(tmp_path: Path, protected: bool, keep_data: bool, why: str) -> None:
    aws: Any = account({"/shop/dev/TOKEN": {}})
    own = teardown.of(aws, environment(tmp_path, protected=protected), keep_data=keep_data)
    assert [(item.name, item.note) for item in own.stays] == [("/shop/dev/TOKEN", why)] and own.goes == ()
    gone, left = teardown.delete(aws, own)
    assert (gone, [item.expected for item in left]) == (0, [True])


def test_a_secret_that_could_not_be_deleted_is_left_unexpectedly(tmp_path: Path) -> None:
    aws: Any = account({"/shop/dev/TOKEN": {}}, delete_parameter=denied)
    (left,) = teardown.delete(aws, teardown.of(aws, environment(tmp_path), keep_data=False))[1]
    assert (left.name, left.expected, left.why) == ("/shop/dev/TOKEN", False, "no permission")


def test_without_permission_to_list_them_a_destroy_goes_on(tmp_path: Path) -> None:
    aws: Any = account(describe_parameters=denied)
    assert "could not be listed" in teardown.of(aws, environment(tmp_path), keep_data=False).unchecked
    assert teardown.of(aws, environment(tmp_path, {}), keep_data=False).unchecked == ""
