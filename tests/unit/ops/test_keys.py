"""Keys of clients against an API Gateway in plain Python: names of others, interrupts, lost answers, rotation."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import usage
from rtp.aws.api import Answer
from rtp.aws.api_keys import Limits
from rtp.aws.logs import LogLine, Page
from rtp.config import Environment
from rtp.config.settings import Settings
from rtp.contract import Output
from rtp.errors import AwsError, NotFoundError, RefusedError, UsageError, WaitTimeoutError
from rtp.ops.keys import acceptance, change, listing, stored
from rtp.ops.stack.teardown import keys as teardown
from tests.clocks import FakeClock
from tests.unit.deploy.fakes import FakeAws

if TYPE_CHECKING:
    from pathlib import Path

OUTPUTS: dict[str, str] = {
    Output.API_ID: "api1",
    Output.API_STAGE: "prod",
    Output.API_KEY_ID: "own",
    Output.USAGE_PLAN_ID: "shared",
}
STACK_TAGS = {"Environment": "dev", "Project": "shop", "ManagedBy": "CDK", "Owner": "Night"}
OWN_LIMITS = Limits(5, 10, 50)


def missing() -> AwsError:
    return AwsError("no", service_code="NotFoundException")


@dataclass
class Gateway(FakeAws):
    """The control plane of API Gateway. fail_after: the call of this name takes effect, and its answer is lost."""

    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    plans: dict[str, dict[str, Any]] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    fail_after: str = ""
    fail_before: str = ""

    def __post_init__(self) -> None:
        self._ids = count(1)
        self.keys["own"] = {
            "id": "own",
            "name": "shop-dev-api-key",
            "enabled": True,
            "tags": STACK_TAGS,
            "value": "v" * 40,
        }
        self.plans["shared"] = {
            "id": "shared",
            "name": "shop-dev-usage-plan",
            "apiStages": [{"apiId": "api1", "stage": "prod"}],
            "throttle": {"rateLimit": 100.0, "burstLimit": 200},
            "quota": {"limit": 1000, "period": "DAY"},
            "tags": STACK_TAGS,
        }
        self.members["shared"] = {"own"}

    def call(self, _service: str, operation: str, **params: Any) -> Any:
        self.asked.append((operation, params))
        if self.fail_before == operation:
            self.fail_before = ""
            raise AwsError("cut off", code="unavailable")
        answer = getattr(self, f"_{operation}")(**params)
        if self.fail_after == operation:
            self.fail_after = ""
            raise AwsError("the answer was lost", code="unavailable")
        return answer

    def _get_api_keys(self, **_: Any) -> Any:
        return {"items": [{k: v for k, v in key.items() if k != "value"} for key in self.keys.values()]}

    def _get_api_key(self, apiKey: str, includeValue: bool = False) -> Any:
        if apiKey not in self.keys:
            raise missing()
        key = self.keys[apiKey]
        return key if includeValue else {k: v for k, v in key.items() if k != "value"}

    def _create_api_key(self, **params: Any) -> Any:
        if any(key["value"] == params["value"] for key in self.keys.values()):
            raise AwsError("API Key already exists", service_code="ConflictException")
        number = next(self._ids)
        created = datetime(2026, 1, 1, tzinfo=UTC)
        key = {**params, "id": f"k{number}", "createdDate": created}
        self.keys[key["id"]] = key
        return key

    def _delete_api_key(self, apiKey: str) -> Any:
        if self.keys.pop(apiKey, None) is None:
            raise missing()
        for members in self.members.values():
            members.discard(apiKey)
        return {}

    def _get_usage_plans(self, **_: Any) -> Any:
        return {"items": list(self.plans.values())}

    def _get_usage_plan(self, usagePlanId: str) -> Any:
        return self.plans[usagePlanId]

    def _get_usage_plan_keys(self, usagePlanId: str, **_: Any) -> Any:
        return {"items": [{"id": key} for key in self.members[usagePlanId]]}

    def _create_usage_plan(self, **params: Any) -> Any:
        plan = {**params, "id": f"p{next(self._ids)}"}
        self.plans[plan["id"]] = plan
        self.members[plan["id"]] = set()
        return plan

    def _create_usage_plan_key(self, usagePlanId: str, keyId: str, keyType: str) -> Any:
        assert keyType == "API_KEY"
        if keyId in self.members[usagePlanId]:
            raise AwsError("in it", service_code="ConflictException")
        self.members[usagePlanId].add(keyId)
        return {}

    def _update_usage_plan(self, usagePlanId: str, patchOperations: list[dict[str, str]]) -> Any:
        gone = {step["value"] for step in patchOperations if (step["op"], step["path"]) == ("remove", "/apiStages")}
        plan = self.plans[usagePlanId]
        plan["apiStages"] = [s for s in plan["apiStages"] if f"{s['apiId']}:{s['stage']}" not in gone]
        return plan

    def _delete_usage_plan(self, usagePlanId: str) -> Any:
        if usagePlanId not in self.plans:
            raise missing()
        if self.plans[usagePlanId]["apiStages"]:
            raise AwsError("API Stages associated with it", service_code="BadRequestException")
        del self.plans[usagePlanId], self.members[usagePlanId]
        return {}

    def _get_usage(self, **_: Any) -> Any:
        days = listing.DAYS
        return {
            "startDate": "a",
            "endDate": "b",
            "items": {k: [[0, 9]] * (days - 2) + [[2, 7], [3, 4]] for k in ("own",)},
        }


def gateway(**faults: str) -> Any:
    return Gateway(**faults)  # type: ignore[arg-type]


def fake(answers: dict[str, Any] | None = None) -> Any:
    return FakeAws(answers or {})


def environment(root: Path, **settings: Any) -> Environment:
    return Environment(name="dev", project="shop", owner="Night", root=root, settings=Settings(**settings))


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    return environment(tmp_path)


def make(aws: Any, env: Environment, name: str = "partner", own: Limits | None = None) -> change.NewKey:
    return change.create(aws, env, OUTPUTS, name, own)


def test_a_key_is_the_client_s_own_with_the_stack_s_tags_and_no_copy_of_its_value(env: Environment) -> None:
    aws = gateway()
    key = make(aws, env)
    assert aws.keys[key.id]["tags"] == {**STACK_TAGS, "rtp:key": "partner", "rtp:key-generation": "1"}
    assert key.id in aws.members["shared"]
    assert aws.keys[key.id]["value"] == key.value
    # The value is in no repr, of no log and no traceback, and no two keys share one.
    assert key.value not in repr(key)
    assert make(aws, env, "other").value != key.value


def test_limits_of_its_own_are_a_usage_plan_of_its_own(env: Environment) -> None:
    aws = gateway()
    key = make(aws, env, own=change.limits(env, 5, None, 50))
    (plan,) = [plan for id, plan in aws.plans.items() if id != "shared"]
    assert aws.members == {"shared": {"own"}, plan["id"]: {key.id}}
    assert plan["throttle"] == {"rateLimit": 5, "burstLimit": env.settings.key_burst}
    assert plan["quota"] == {"limit": 50, "period": "DAY"}
    assert STACK_TAGS.items() <= plan["tags"].items()


@pytest.mark.parametrize("cut", ["create_api_key", "create_usage_plan", "create_usage_plan_key"])
@pytest.mark.parametrize("when", ["fail_before", "fail_after"])
def test_a_creation_that_was_cut_off_is_repeated_by_the_same_command(env: Environment, cut: str, when: str) -> None:
    # Given: a run that ended at any call, before or after its effect, and printed no value
    aws = gateway(**{when: cut})
    with pytest.raises(AwsError):
        make(aws, env, own=OWN_LIMITS)
    client = stored.of_client(aws, env, "partner", "shared")
    # When: the command is repeated; a key that is usable by then has a value that nobody knows, and is revoked first
    if client.usable:
        with pytest.raises(RefusedError):
            make(aws, env, own=OWN_LIMITS)
        change.revoke(aws, env, OUTPUTS, "partner")
    key = make(aws, env, own=OWN_LIMITS)
    # Then: one key and one plan are left
    assert [k for k in aws.keys if k != "own"] == [key.id]
    assert [members for id, members in aws.members.items() if id != "shared"] == [{key.id}]


def test_a_lost_answer_makes_no_second_key(env: Environment) -> None:
    # Given: botocore repeats a call whose answer was lost; the value is taken by then
    from rtp.aws import api_keys

    aws = gateway()
    tags = stored.tags(env, "partner")
    first = api_keys.create(aws, "shop-dev-key-partner.1", "x" * 40, description="", tags=tags)
    assert api_keys.create(aws, "shop-dev-key-partner.1", "x" * 40, description="", tags=tags) == first
    api_keys.attach(aws, first, "shared")
    api_keys.attach(aws, first, "shared")
    # But the value of somebody else's key is a conflict
    with pytest.raises(AwsError, match="already exists"):
        api_keys.create(aws, "shop-dev-key-partner.1", "v" * 40, description="", tags=tags)


def test_a_key_of_another_project_with_the_same_beginning_of_its_name_is_not_touched(env: Environment) -> None:
    # Given: project shop, environment dev-key-a of another project, whose stack's key is `shop-dev-key-a-api-key`
    aws = gateway()
    theirs = {**STACK_TAGS, "Environment": "dev-key-a", "rtp:key": "partner"}
    aws.keys["theirs"] = {"id": "theirs", "name": "shop-dev-key-partner.1", "tags": theirs, "value": "t" * 40}
    aws.keys["bare"] = {"id": "bare", "name": "shop-dev-key-partner.1", "value": "b" * 40}  # listed without tags
    aws.members["shared"] |= {"theirs"}
    # Then: it is not listed, revoked or destroyed
    assert [key.id for key in listing.listing(aws, env, OUTPUTS).keys] == ["own"]
    with pytest.raises(NotFoundError):
        change.revoke(aws, env, OUTPUTS, "partner")
    assert teardown.of(aws, env) == teardown.OwnKeys()
    assert {"theirs", "bare"} <= set(aws.keys)


def test_a_rotation_never_leaves_the_client_without_a_valid_key(env: Environment) -> None:
    aws = gateway()
    first = make(aws, env, own=OWN_LIMITS)
    # When: rotated; both are valid, in the same plan
    second = change.rotate(aws, env, OUTPUTS, "partner")
    (plan_id,) = [id for id in aws.plans if id != "shared"]
    assert aws.members[plan_id] == {first.id, second.id}
    assert second.old == (first.id,)
    assert second.own_limits == OWN_LIMITS
    assert [k.state for k in listing.listing(aws, env, OUTPUTS).keys if k.name == "partner"] == ["old", "active"]
    # Then: a second rotation is refused until the first is finished
    with pytest.raises(RefusedError) as caught:
        change.rotate(aws, env, OUTPUTS, "partner")
    assert caught.value.code == "rotation-pending"
    # When: finished
    done = change.finish(aws, env, OUTPUTS, change.unfinished(aws, env, OUTPUTS, "partner"))
    # Then: only the old key is gone
    assert (done.ids, done.remaining) == ((first.id,), second.id)
    assert aws.members[plan_id] == {second.id}
    with pytest.raises(NotFoundError) as none:
        change.unfinished(aws, env, OUTPUTS, "partner")
    assert none.value.code == "no-rotation"


def test_keys_that_changed_while_an_operator_was_asked_are_not_revoked(env: Environment) -> None:
    # Given: an operator who is asked about the old key, and another who replaces the new one, which was lost
    aws = gateway()
    first = make(aws, env)
    change.rotate(aws, env, OUTPUTS, "partner")
    shown = change.unfinished(aws, env, OUTPUTS, "partner")
    third = change.rotate(aws, env, OUTPUTS, "partner", restart=True)
    # When: the first one consents
    with pytest.raises(RefusedError, match="changed by another command meanwhile; nothing was revoked") as caught:
        change.finish(aws, env, OUTPUTS, shown)
    # Then: the key that the client has is still valid
    assert caught.value.code == "keys-changed"
    assert aws.members["shared"] == {"own", first.id, third.id}


@pytest.mark.parametrize("cut", ["create_api_key", "create_usage_plan_key"])
@pytest.mark.parametrize("when", ["fail_before", "fail_after"])
def test_a_rotation_that_was_cut_off_keeps_the_old_key_and_is_repeated(env: Environment, cut: str, when: str) -> None:
    # Given: a rotation that ended before its key was printed
    aws = gateway()
    first = make(aws, env)
    setattr(aws, when, cut)
    with pytest.raises(AwsError):
        change.rotate(aws, env, OUTPUTS, "partner")
    assert first.id in aws.members["shared"]
    # When: repeated, with --restart, which replaces a new key whose value was lost
    second = change.rotate(aws, env, OUTPUTS, "partner", restart=True)
    # Then: the old key and one new one
    assert aws.members["shared"] == {"own", first.id, second.id}
    assert set(aws.keys) == {"own", first.id, second.id}


def test_revoke_deletes_all_of_a_client_and_nothing_else(env: Environment) -> None:
    aws = gateway()
    kept, gone = make(aws, env, "kept"), make(aws, env, own=OWN_LIMITS)
    second = change.rotate(aws, env, OUTPUTS, "partner")
    revoked = change.revoke(aws, env, OUTPUTS, "partner")
    assert set(revoked.ids) == {gone.id, second.id}
    assert revoked.plan == "shop-dev-key-partner"
    assert (set(aws.keys), set(aws.plans)) == ({"own", kept.id}, {"shared"})


def test_an_interrupted_revoke_is_repeated(env: Environment) -> None:
    aws = gateway()
    make(aws, env, own=OWN_LIMITS)
    aws.fail_before = "delete_usage_plan"
    with pytest.raises(AwsError):
        change.revoke(aws, env, OUTPUTS, "partner")
    assert change.revoke(aws, env, OUTPUTS, "partner").plan == "shop-dev-key-partner"
    assert set(aws.plans) == {"shared"}


@pytest.mark.parametrize("name", ["Bad", "-a", "a" * 41, "a b", "", "a\n", "ä"])
def test_a_name_that_is_none_is_refused(env: Environment, name: str) -> None:
    with pytest.raises(UsageError):
        change.check(env, OUTPUTS, name)


def test_the_stack_s_own_key_is_not_the_command_s(env: Environment) -> None:
    for act in (lambda: change.check(env, OUTPUTS, "stack"), lambda: change.revoke(gateway(), env, OUTPUTS, "stack")):
        with pytest.raises(RefusedError) as caught:
            act()
        assert "stack_key_version" in caught.value.hint


def test_a_key_that_would_admit_to_nothing_is_not_created(tmp_path: Path) -> None:
    for env, outputs in (
        (environment(tmp_path, auth="iam"), OUTPUTS),
        (environment(tmp_path), {**OUTPUTS, Output.API_AUTH: "iam"}),
    ):
        with pytest.raises(RefusedError) as caught:
            change.check(env, outputs, "partner")
        assert caught.value.code == "keys-unused"


def test_usage_is_each_key_s(env: Environment) -> None:
    aws = gateway()
    make(aws, env)
    keys = {key.name: key for key in listing.listing(aws, env, OUTPUTS).keys}
    assert (keys["stack"].used_today, keys["stack"].used) == (3, 5)
    assert (keys["partner"].used_today, keys["partner"].used) == (0, 0)
    assert keys["stack"].limits == keys["partner"].limits == Limits(100.0, 200, 1000)


def test_usage_that_cannot_be_read_is_not_zero(env: Environment) -> None:
    aws = gateway(fail_before="get_usage")
    found = listing.listing(aws, env, OUTPUTS)
    assert [(key.used_today, key.used) for key in found.keys] == [(None, None)]
    assert "could not be read" in found.notes[0]


def test_every_page_of_the_usage_is_read() -> None:
    # Given: API Gateway gives the usage of many keys in pages
    pages = {
        None: {"startDate": "a", "items": {"k1": [[1, 0]]}, "position": "p1"},
        "p1": {"startDate": "a", "items": {}, "position": "p2"},
        "p2": {"startDate": "a", "items": {"k2": [[7, 0]]}},
    }
    aws = fake({"get_usage": lambda position=None, **_: pages[position]})
    assert usage.used(aws, "plan", days=1) == {"k1": [1], "k2": [7]}


@dataclass
class Api:
    """Statuses of the probes, the last one repeatedly."""

    statuses: list[int]
    asked: int = 0

    def ask(self) -> Answer:
        self.asked += 1
        return Answer(self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0], {}, 1.0)


def wait(api: Api) -> list[str]:
    notes: list[str] = []
    acceptance.wait(fake(), OUTPUTS, "k1", notes.append, ask=api.ask, clock=FakeClock().clock)
    return notes


def test_a_new_key_counts_as_valid_when_several_hosts_accept_it() -> None:
    # Given: one host of API Gateway knows the key before the next does
    api = Api([403, 400, 403, 403, 400])
    assert "does not know it yet" in wait(api)[0]
    assert api.asked == 7
    assert wait(Api([400])) == []


def test_a_key_that_is_never_accepted_ends_with_the_fix() -> None:
    with pytest.raises(WaitTimeoutError) as caught:
        wait(Api([403]))
    assert "HTTP 403" in caught.value.message
    assert "allowed_cidrs" in caught.value.hint


def test_finish_knows_who_still_uses_the_old_key(env: Environment) -> None:
    # Given: the access log, which names key and address
    asked: list[dict[str, Any]] = []

    def pages(_aws: Any, _group: str, **query: Any) -> list[Page]:
        asked.append(query)
        line = '{"api_key_id": "k1", "source_ip": "203.0.113.7"}'
        return [Page([LogLine(1000 + n, line, "s", str(n)) for n in range(2)], None), Page([], None)]

    use = acceptance.recent_use(fake(), env, "k1", now=5000, pages=pages)
    assert use is not None
    assert (use.count, use.last, use.address) == (2, 1001, "203.0.113.7")
    assert asked == [{"since": 5000 - 3_600_000, "pattern": '{ $.api_key_id = "k1" }'}]
    assert acceptance.recent_use(fake(), env, "k1", pages=lambda *_, **__: []) is None


def test_without_an_access_log_the_use_is_unknown_and_not_none(tmp_path: Path) -> None:
    with pytest.raises(AwsError) as caught:
        acceptance.recent_use(fake(), environment(tmp_path, api_logs=False), "k1")
    assert acceptance.is_not_checkable(caught.value)


def test_destroy_names_and_deletes_every_key_and_plan(env: Environment) -> None:
    # Given: two clients, one with limits of its own
    aws = gateway()
    make(aws, env, "a")
    make(aws, env, "b", own=OWN_LIMITS)
    own = teardown.of(aws, env)
    assert [(item.kind, item.name) for item in own.goes] == [
        ("API key", "shop-dev-key-a.1"),
        ("API key", "shop-dev-key-b.1"),
        ("usage plan", "shop-dev-key-b"),
    ]
    # When: the plan leaves the stage before that is deleted
    teardown.detach(aws, own)
    assert aws.plans[own.plans[0].id]["apiStages"] == []
    # Then: nothing is left, by API Gateway's own answer
    assert teardown.delete(aws, env, own) == (3, ())
    assert (set(aws.keys), set(aws.plans)) == ({"own"}, {"shared"})


def test_a_key_that_cannot_be_deleted_is_left_behind_and_said(env: Environment) -> None:
    aws = gateway()
    make(aws, env)
    aws.fail_before = "delete_api_key"
    gone, (left,) = teardown.delete(aws, env, teardown.of(aws, env))
    assert (gone, left.name, left.why, left.expected) == (0, "shop-dev-key-partner.1", "cut off", False)


def test_a_destroy_that_may_not_list_keys_says_so(env: Environment) -> None:
    def denied(**_: Any) -> Any:
        raise AwsError("no permission", code="access-denied")

    own = teardown.of(fake({"get_api_keys": denied}), env)
    assert own.goes == ()
    assert "any that exist stay" in own.unchecked
