"""A stack name says not whose the stack is: shop + eu-dev and shop-eu + dev are one name. Its tags do."""

from __future__ import annotations

import io
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import resource_types, stacks
from rtp.aws.resource_types import BUCKET
from rtp.commands import consent
from rtp.commands.consent import Approval, Impact
from rtp.commands.session import Session
from rtp.config import Environment, Overrides
from rtp.errors import AwsError, ExitCode, NotFoundError, RefusedError
from rtp.ops.access import ownership
from rtp.ops.access.ownership import NOBODY, Owner
from rtp.ops.stack import repair
from rtp.ops.stack.apply import adopt
from rtp.ops.stack.operation import Operation, Target
from rtp.ops.stack.teardown import proof
from rtp.ops.stack.teardown.destroy import Options, destroy
from rtp.ops.stack.teardown.empty import remove
from rtp.terminal.output import Output
from tests.unit.deploy.fakes import NOTHING, STACK, STACK_ID, Cloud, FakeAws, finished, resource, stack, tags

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OTHER = Owner("shop-de", "v")
GONE = [[(STACK, "DELETE_COMPLETE", "")]]


def environment(root: Path, **more: Any) -> Environment:
    return Environment(name="dev", project="shop", root=root, endpoint_url="http://127.0.0.1:1", **more)


@pytest.mark.parametrize(
    ("given", "owner"),
    [
        (tags("shop", "dev"), None),
        ([*tags("shop", "dev"), {"Key": "Owner", "Value": "somebody"}], None),
        (tags("shop-d", "ev"), Owner("shop-d", "ev")),
        (tags("dev", "shop"), Owner("dev", "shop")),
        (tags("Shop", "dev"), Owner("Shop", "dev")),
        (tags("shop", "dev "), Owner("shop", "dev ")),
        (tags("shop", ""), Owner("shop", "")),
        (tags("shop", "dev")[:1], Owner("shop", None)),
        (tags("shop", "dev")[1:], Owner(None, "dev")),
        ([{"Key": "project", "Value": "shop"}, {"Key": "environment", "Value": "dev"}], NOBODY),
        ([], NOBODY),
    ],
)
@pytest.mark.parametrize("status", ["CREATE_COMPLETE", "ROLLBACK_COMPLETE", "DELETE_FAILED", "UPDATE_IN_PROGRESS"])
def test_both_tags_must_be_exactly_ours(
    tmp_path: Path, given: list[dict[str, str]], owner: Owner | None, status: str
) -> None:
    aws: Any = FakeAws()
    env, found = environment(tmp_path), stack(status, given)
    assert ownership.foreign(aws, found, env) == owner
    if owner is None:
        ownership.check(aws, found, env)
        return
    # Then another's is refused with both owners named and the fix, without any call
    with pytest.raises(RefusedError) as caught:
        ownership.check(aws, found, env)
    assert (caught.value.code, caught.value.exit_code) == ("foreign-stack", ExitCode.REFUSED)
    assert STACK in caught.value.message and "project 'shop', environment 'dev'" in caught.value.message
    assert "--take-over" in caught.value.hint and "rtp.toml" in caught.value.hint
    for value in (owner.project, owner.environment):
        assert value is None or repr(value) in caught.value.message
    assert aws.asked == []
    # And only the owner whose stack may be taken over passes
    ownership.check(aws, found, env, former_owner=owner)
    with pytest.raises(RefusedError):
        ownership.check(aws, found, env, former_owner=Owner("third", "dev"))


def test_no_stack_has_no_owner(tmp_path: Path) -> None:
    aws: Any = FakeAws()
    ownership.check(aws, None, environment(tmp_path))


def test_a_hostile_tag_is_shown_on_one_line(tmp_path: Path) -> None:
    said = ownership.describe(environment(tmp_path), Owner("\x1b[2Jshop\nok", None))
    assert said.isprintable() and "no tag Environment" in said


@pytest.mark.parametrize(
    ("prepared", "owner"),
    [
        ([], None),  # nothing is in it, and nobody prepares anything for it
        ([tags("shop", "dev")], None),
        ([tags("shop-de", "v")], OTHER),
        ([[]], NOBODY),
        ([tags("shop", "dev"), tags("shop-de", "v")], OTHER),
    ],
)
def test_a_stack_in_review_belongs_to_the_owner_of_its_change_set(
    tmp_path: Path, prepared: list[list[dict[str, str]]], owner: Owner | None
) -> None:
    # Given a stack of which only change sets have been prepared, which has no tags of its own yet
    aws: Any = FakeAws(
        {
            "list_change_sets": lambda **_: {"Summaries": [{"ChangeSetId": str(n)} for n in range(len(prepared))]},
            "describe_change_set": lambda *, ChangeSetName, **_: {"Tags": prepared[int(ChangeSetName)]},
        }
    )
    # Then those say whose it is
    found = stack("REVIEW_IN_PROGRESS")
    assert ownership.foreign(aws, found, environment(tmp_path)) == owner
    # And where CloudFormation shows tags already, they do
    aws.answers.clear()
    assert ownership.foreign(aws, stack("REVIEW_IN_PROGRESS", tags("a", "b")), environment(tmp_path))


def test_a_change_set_that_may_not_be_read_stops_the_command(tmp_path: Path) -> None:
    def denied(**_: Any) -> Any:
        raise AwsError("no", code="access-denied")

    aws: Any = FakeAws({"list_change_sets": denied})
    with pytest.raises(AwsError):
        ownership.check(aws, stack("REVIEW_IN_PROGRESS"), environment(tmp_path))


def gone(cloud: Cloud) -> None:
    cloud.status = ""


def taken(cloud: Cloud) -> None:
    cloud.tags = tags("shop-de", "v")


def replaced(cloud: Cloud) -> None:
    cloud.id = f"{STACK_ID}-2"


CHANGES: list[tuple[Callable[[Cloud], None], type[Exception], str]] = [
    (gone, NotFoundError, "not-deployed"),
    (taken, RefusedError, "foreign-stack"),
    (replaced, RefusedError, "stack-replaced"),
]


@pytest.mark.parametrize(("change", "kind", "code"), CHANGES)
def test_a_destroy_checks_the_owner_again_after_its_prompt(
    tmp_path: Path, change: Callable[[Cloud], None], kind: type[Exception], code: str
) -> None:
    # Given a stack with a full bucket, and something that happens to it while the question stands
    row = {"LogicalResourceId": "b", "PhysicalResourceId": "b", "ResourceType": BUCKET, "ResourceStatus": "X"}
    cloud = Cloud(buckets={"b": 10}, resources=[row], plan=list(GONE))
    aws: Any = cloud.aws()
    # When it is answered
    with pytest.raises(kind) as caught:
        list(destroy(aws, environment(tmp_path), Options(), Operation(lambda _: change(cloud))))
    # Then nothing is deleted
    assert getattr(caught.value, "code", "") == code
    assert cloud.left("b") == 10 and "delete_stack" not in aws.operations()


def test_a_destroy_checks_the_owner_again_after_waiting_for_another_operation(tmp_path: Path) -> None:
    # Given a stack that is being deleted by somebody, and is another project's as soon as that has ended
    cloud = Cloud(status="DELETE_IN_PROGRESS", buckets={"b": 10})
    looks = iter([tags("shop", "dev"), tags("shop", "dev"), tags("shop-de", "v")])

    def describe(**_: Any) -> Any:
        cloud.tags = next(looks)
        found = cloud.description()
        cloud.event(STACK, "CREATE_COMPLETE")
        return {"Stacks": [found]}

    aws: Any = cloud.aws(describe_stacks=describe)
    with pytest.raises(RefusedError) as caught:
        list(destroy(aws, environment(tmp_path), Options(), Operation()))
    assert caught.value.code == "foreign-stack" and "delete_stack" not in aws.operations()


def test_every_deletion_checks_the_owner_again_before_each_try(tmp_path: Path) -> None:
    # Given a stack whose bucket was filled again, so that its first deletion fails
    failed = [("B", "DELETE_FAILED", "not empty"), (STACK, "DELETE_FAILED", "no")]
    cloud = Cloud(buckets={"b": 10})
    cloud.plan = [[]]

    def delete(*, ClientRequestToken: str, **_: Any) -> Any:
        cloud.token = ClientRequestToken
        cloud.event(failed[0][0], failed[0][1], failed[0][2], kind=BUCKET)
        cloud.event(*failed[1])
        taken(cloud)
        return {}

    # And which is another project's by then
    aws: Any = cloud.aws(delete_stack=delete)
    target = Target(aws, environment(tmp_path), STACK_ID)
    with pytest.raises(RefusedError, match="changed hands"):
        rows = [resource("B", "b", BUCKET)]
        list(remove(target, Operation(), rows, frozenset(), protected=False))
    # Then it is not emptied a second time
    assert cloud.left("b") == 0 and aws.operations().count("delete_objects") == 1


def test_a_failed_stack_whose_owner_changed_is_not_deleted(tmp_path: Path) -> None:
    # Given a first deploy that failed and was left, and is another's once it is rolled back
    cloud = Cloud(status="CREATE_FAILED", plan=[[(STACK, "ROLLBACK_COMPLETE", "")], *GONE])
    aws: Any = cloud.aws()
    env = environment(tmp_path)

    def agreed(_: Any) -> None:
        taken(cloud)

    with pytest.raises(RefusedError):
        current = stack(cloud.status, cloud.tags)
        target, operation = Target(aws, env, STACK_ID), Operation(agreed)
        list(repair.repair(target, operation, current, rollback=True, before_rollback=lambda _: iter(())))
    assert "delete_stack" not in aws.operations()


class Terminal(io.StringIO):
    """Where a person is."""

    def isatty(self) -> bool:
        return True


class Slow(Terminal):
    """A person to whom the stack's fate comes first."""

    def __init__(self, answer: str, first: Callable[[], None]) -> None:
        super().__init__(answer)
        self._first = first

    def readline(self, *given: Any) -> str:  # type: ignore[override]  # as TextIOBase has it
        self._first()
        return super().readline(*given)


@pytest.mark.parametrize(("change", "kind", "code"), CHANGES)
@pytest.mark.parametrize("protected", [False, True])
@pytest.mark.parametrize("impact", [Impact.MANY, Impact.LASTING])
def test_no_event_is_moved_if_the_owner_changed_during_the_prompt(
    tmp_path: Path, impact: Impact, protected: bool, change: Callable[[Cloud], None], kind: type[Exception], code: str
) -> None:
    # Given a person who answers after the stack has changed
    cloud = Cloud()
    slow = Slow(f"{STACK if protected else 'y'}\n", lambda: change(cloud))
    session = Session(Overrides(), Output(stdin=slow, stderr=Terminal()))
    session.__dict__.update(environment=environment(tmp_path, protected=protected), aws=cloud.aws())
    assert session.outputs == {}
    # When asked / Then the command ends there
    with pytest.raises(kind) as caught:
        consent.ask(session, "Delete all", Approval(), impact)
    assert getattr(caught.value, "code", "") == code


def test_readers_of_anothers_stack_warn_and_those_that_act_refuse(tmp_path: Path) -> None:
    cloud, said = Cloud(tags=tags("shop-de", "v")), io.StringIO()
    session = Session(Overrides(), Output(stderr=said))
    session.__dict__.update(environment=environment(tmp_path), aws=cloud.aws())
    assert session.outputs_to_read == {}
    assert "belongs to project 'shop-de', environment 'v'" in said.getvalue()
    with pytest.raises(RefusedError):
        _ = session.outputs


def test_another_projects_failed_stack_is_refused_and_not_reported_as_not_deployed(tmp_path: Path) -> None:
    cloud = Cloud(status="ROLLBACK_COMPLETE", tags=tags("shop-de", "v"))
    session = Session(Overrides(), Output())
    session.__dict__.update(environment=environment(tmp_path), aws=cloud.aws())
    with pytest.raises(RefusedError):
        _ = session.outputs
    cloud.tags = tags("shop", "dev")
    session = Session(Overrides(), Output())
    session.__dict__.update(environment=environment(tmp_path), aws=cloud.aws())
    with pytest.raises(NotFoundError):
        _ = session.outputs


class Account:
    """Log groups, tables and buckets with tags, as the destroy's proof looks for them."""

    def __init__(self, arns: dict[str, list[dict[str, str]]], *, denied: bool = False) -> None:
        self.arns = arns
        self.denied = denied
        self.deleted: list[str] = []
        self.aws: Any = FakeAws(
            {
                **NOTHING,
                "describe_table": lambda *, TableName: self._known(TableName),
                "head_bucket": lambda *, Bucket: self._known(Bucket),
                "describe_log_groups": self._groups,
                "delete_log_group": lambda *, logGroupName: self.deleted.append(logGroupName),
                "list_object_versions": self._not_to_be_read,
                "list_objects_v2": self._not_to_be_read,
                "get_resources": self._resources,
                "describe_parameters": lambda **_: {},
                "get_api_keys": lambda **_: {},
                "get_usage_plans": lambda **_: {},
            },
            local=True,
        )

    def _known(self, name: str) -> Any:
        if not any(arn.endswith((f":{name}", f"/{name}")) for arn in self.arns):
            raise AwsError("no", service_code="404")
        return {"Table": {}}

    def _not_to_be_read(self, **_: Any) -> Any:
        raise AwsError("no", code="access-denied")

    def _groups(self, *, logGroupNamePrefix: str) -> Any:
        names = [arn.partition(":log-group:")[2] for arn in self.arns]
        return {"logGroups": [{"logGroupName": n} for n in names if n.startswith(logGroupNamePrefix)]}

    def _resources(self, *, ResourceARNList: list[str] | None = None, TagFilters: Any = ()) -> Any:
        if self.denied:
            raise AwsError("no", code="access-denied")
        wanted = [{"Key": f["Key"], "Value": f["Values"][0]} for f in TagFilters]
        found = [
            {"ResourceARN": arn, "Tags": own}
            for arn, own in self.arns.items()
            if own and (arn in ResourceARNList if ResourceARNList is not None else all(t in own for t in wanted))
        ]
        return {"ResourceTagMappingList": found}


GROUP = "arn:aws:logs:us-east-1:111122223333:log-group:"
WORKER = "/aws/lambda/shop-dev-worker"
TABLE = "arn:aws:dynamodb:us-east-1:111122223333:table/shop-dev-table"
DATA = "arn:aws:s3:::shop-dev-111122223333-us-east-1"


def test_data_that_another_project_kept_under_the_same_names_is_not_listed_as_ours(tmp_path: Path) -> None:
    # Given no stack, and a table, a bucket and a log group of its names: another project's, and then nobody's
    for own, named in ((tags("shop-de", "v"), False), ([], True)):
        account = Account({TABLE: own, DATA: own, GROUP + WORKER: own})
        with pytest.raises(NotFoundError) as caught:
            list(destroy(account.aws, environment(tmp_path), Options(), Operation()))
        # Then only what nobody has claimed is offered to be deleted by hand
        assert ("shop-dev-table" in caught.value.message) is named
        assert (WORKER in caught.value.message) is named
        assert ("by hand" in caught.value.hint) is named


def test_the_proof_lists_no_other_projects_log_groups(tmp_path: Path) -> None:
    # Given groups whose names begin with one of ours, and one with our name and another's tags
    other = f"{GROUP}/aws/lambda/shop-dev-worker-eu-worker"
    account = Account(
        {
            other: tags("shop-dev-worker", "eu"),
            f"{GROUP}/aws/apigateway/shop-dev-api-eu-api": tags("shop-dev-api", "eu"),
            GROUP + WORKER: tags("shop-de", "v"),
        }
    )
    found = finished(
        proof.prove(Target(account.aws, environment(tmp_path)), [], frozenset(), keep_data=False, api_id="")
    )
    assert found.clean and found.left == ()
    # When ours has no tags, as functions make it / Then it is listed
    account.arns[GROUP + WORKER] = []
    found = finished(
        proof.prove(Target(account.aws, environment(tmp_path)), [], frozenset(), keep_data=False, api_id="")
    )
    assert [i.name for i in found.left] == [WORKER] and not found.clean


@pytest.mark.parametrize(
    ("own", "denied", "deleted", "left"),
    [
        ([], False, [WORKER], []),  # a function's last lines made it anew
        (tags("shop", "dev"), False, [WORKER], []),
        (tags("shop-de", "v"), False, [], []),  # deployed under this name since
        ([], True, [], [WORKER]),  # whose it is cannot be found out
    ],
)
def test_a_recreated_log_group_is_deleted_only_if_it_is_ours(
    tmp_path: Path, own: list[dict[str, str]], denied: bool, deleted: list[str], left: list[str]
) -> None:
    account = Account({GROUP + WORKER: own}, denied=denied)
    rows = [resource("Logs", WORKER, resource_types.LOG_GROUP, "DELETE_COMPLETE")]
    found = finished(
        proof.prove(Target(account.aws, environment(tmp_path)), rows, frozenset(), keep_data=False, api_id="")
    )
    assert account.deleted == deleted
    assert [i.name for i in found.left] == left and found.clean


@pytest.mark.parametrize(("owner", "is_refused"), [(OTHER, True), (Owner("shop", "dev"), False), (NOBODY, False)])
def test_the_key_of_another_project_is_not_adopted(tmp_path: Path, owner: Owner, is_refused: bool) -> None:
    key = "1234abcd-12ab-34cd-56ef-1234567890ab"
    arn = f"arn:aws:kms:eu-west-1:111122223333:key/{key}"

    class Tagged:
        region, account = "eu-west-1", "111122223333"

        def pages(self, _service: str, _operation: str, _key: str, **asked: Any) -> list[dict[str, Any]]:
            named = {"Project": owner.project, "Environment": owner.environment}
            tags = [{"Key": name, "Value": value} for name, value in named.items() if value is not None]
            return [{"ResourceARN": each, "Tags": tags} for each in asked["ResourceARNList"] if each == arn]

    aws: Any = Tagged()
    found = [adopt.Leftover("Key", resource_types.KEY, {"KeyId": key})]
    with pytest.raises(RefusedError) if is_refused else nullcontext():
        adopt._refuse_others(Target(aws, environment(tmp_path)), found)


@pytest.mark.parametrize(
    "body", ["Resources:\n  A:\n    Type: AWS::SNS::Topic\n", "[]", "7", "[" * 100_000], ids=range(4)
)
def test_a_template_that_rtp_did_not_write_is_named(body: str) -> None:
    class Answering:
        def call(self, *_: Any, **__: Any) -> dict[str, Any]:
            return {"TemplateBody": body}

    aws: Any = Answering()
    with pytest.raises(RefusedError, match="is not JSON, so rtp did not deploy it") as caught:
        stacks.template(aws, STACK)
    assert caught.value.code == "foreign-stack"
