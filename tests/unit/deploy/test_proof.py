"""The proof after a destroy, in an account whose services and whose search by tags lag."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import resource_types
from rtp.aws.resource_types import ALARM, BUCKET, EVENT_SOURCE, FUNCTION, KEY, KEY_ALIAS, PERMISSION, QUEUE, TABLE
from rtp.commands.destroy import _proof
from rtp.config import Environment
from rtp.errors import AwsError, CredentialsError, EndpointError
from rtp.ops.stack.operation import Target
from rtp.ops.stack.steps import Waiting
from rtp.ops.stack.teardown import proof
from rtp.terminal.output import Output
from tests.clocks import FakeClock
from tests.unit.deploy.fakes import NOTHING, FakeAws, finished, resource

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.aws.stacks import Resource

ARN = "arn:aws:{}:us-east-1:111122223333:{}"
URL = "https://sqs.us-east-1.amazonaws.com/111122223333/shop-dev-queue"


def account(**answers: Any) -> Any:
    return FakeAws({**NOTHING, **answers})


def tagged(*arns: str) -> Any:
    return lambda **_: {"ResourceTagMappingList": [{"ResourceARN": arn} for arn in arns]}


def prove(aws: Any, root: Path, rows: list[Resource], clock: FakeClock, keep: tuple[str, ...] = ()) -> proof.Proof:
    target = Target(aws, Environment(name="dev", project="shop", root=root))
    steps = proof.prove(target, rows, frozenset(keep), keep_data=False, api_id="", clock=clock.clock)
    return finished(steps)


def drawn(found: proof.Proof) -> str:
    text = io.StringIO()
    Output(stderr=text).say(*_proof(found))
    return " ".join(text.getvalue().split())


def test_a_queue_that_still_answers_after_its_deletion_is_asked_again(tmp_path: Path) -> None:
    # Given a queue that SQS describes for a minute after its deletion
    clock = FakeClock()

    def describe(**_: Any) -> Any:
        if clock.now >= 60:
            raise AwsError("no", service_code="AWS.SimpleQueueService.NonExistentQueue")
        return {}

    # When the destroy is proved
    found = prove(account(get_queue_attributes=describe), tmp_path, [resource("Queue", URL, QUEUE)], clock)
    # Then it was asked until it was gone
    assert found.clean and found.left == () and found.gone.asked == 1
    assert 60 <= clock.now <= 75


def test_what_the_tag_search_remembers_is_asked_of_its_own_service(tmp_path: Path) -> None:
    # Given a search that remembers a queue, a function's version, an API's stage and the stack itself
    arns = (
        ARN.format("sqs", "shop-dev-old"),
        ARN.format("lambda", "function:shop-dev-old:3"),
        "arn:aws:apigateway:us-east-1::/restapis/abc/stages/prod",
        ARN.format("cloudformation", "stack/shop-dev/1"),
    )

    def no_api(**given: Any) -> Any:
        assert given == {"restApiId": "abc"}
        raise AwsError("no", service_code="NotFoundException")

    clock = FakeClock()
    found = prove(account(get_resources=tagged(*arns), get_rest_api=no_api), tmp_path, [], clock)
    # Then their services say that they are gone, and nothing is left
    assert found.clean and found.left == () and clock.now == 0


def test_what_exists_after_the_last_question_is_left_behind(tmp_path: Path) -> None:
    clock = FakeClock()
    aws = account(get_queue_attributes=lambda **_: {}, get_resources=tagged(topic := ARN.format("sns", "stray")))
    aws.answers["get_topic_attributes"] = lambda **_: {}
    steps = proof.prove(
        Target(aws, Environment(name="dev", project="shop", root=tmp_path)),
        [resource("Queue", URL, QUEUE)],
        frozenset(),
        keep_data=False,
        api_id="",
        clock=clock.clock,
    )
    waits = []
    found = None
    while found is None:
        try:
            waits.append(next(steps))
        except StopIteration as end:
            found = end.value
    assert {(i.name, i.expected) for i in found.left} == {(URL, False), (topic, False)} and not found.clean
    assert clock.now == 90
    # And the wait says what it waits for, and how long it will
    assert isinstance(waits[0], Waiting)
    assert (
        waits[0].message == "queue shop-dev-queue and 1 more still exists by its service's answer; asking for 90 s more"
    )


@pytest.mark.parametrize(
    ("keep_data", "protected", "expected"),
    [(False, False, False), (True, False, True), (False, True, True), (True, True, True)],
)
def test_a_bucket_of_an_earlier_stack_is_expected_where_data_is_kept(
    tmp_path: Path, keep_data: bool, protected: bool, expected: bool
) -> None:
    aws = account(head_bucket=lambda **_: {}, get_resources=tagged("arn:aws:s3:::shop-dev-data-older"))
    environment = Environment(name="dev", project="shop", root=tmp_path, protected=protected)
    steps = proof.prove(
        Target(aws, environment), [], frozenset(), keep_data=keep_data, api_id="", clock=FakeClock().clock
    )
    assert [(i.name, i.expected) for i in finished(steps).left] == [("arn:aws:s3:::shop-dev-data-older", expected)]


def test_what_cannot_be_asked_is_a_note_and_no_failure(tmp_path: Path) -> None:
    # Given a role that may not be read, a database that rtp cannot ask about, and a function behind a dead network
    def denied(**_: Any) -> Any:
        raise AwsError("iam get_role: not authorized", code="access-denied")

    def dead(**_: Any) -> Any:
        raise EndpointError("Nothing answered at AWS lambda.")

    rows = [
        resource("Role", "r", "AWS::IAM::Role"),
        resource("Fn", "f", FUNCTION),
        resource("Allow", "p", PERMISSION),
        resource("Theirs", "x", "AWS::Glue::Database"),
        resource("Never", "", TABLE, "CREATE_FAILED"),
        resource("Alarm", "a", ALARM),
    ]
    glue = ARN.format("glue", "database/d")
    aws = account(get_role=denied, get_function_configuration=dead, get_resources=tagged(glue))
    clock = FakeClock()
    found = prove(aws, tmp_path, rows, clock)
    # Then each is listed with the reason, what hangs on the function too, and the proof is clean
    assert {i.name: i.why for i in found.gone.not_asked} == {
        "r": "iam get_role: not authorized",
        "f": "Nothing answered at AWS lambda.",
        "p": "it is part of the function f, which is not gone",
        "x": "rtp knows no call that asks for this type",
        "Never": "CloudFormation has no physical id of it",
        glue: "has the stack's tags; rtp knows no call that asks for it",
    }
    assert found.clean and (found.gone.asked, found.gone.with_parent) == (1, 0)
    assert "not known whether it is gone:" in drawn(found) and "role r iam get_role: not authorized" in drawn(found)
    assert clock.now == 90


def test_every_resource_is_asked_or_goes_with_a_parent_or_is_listed(tmp_path: Path) -> None:
    # Given a resource of every type that the templates use, none of which exists any more
    rows = [resource(f"R{n}", f"id-{n}" if kind != QUEUE else URL, kind) for n, kind in enumerate(resource_types.TYPES)]
    aws = account()
    missing = {op for op in _operations() if op not in aws.answers}
    aws.answers |= dict.fromkeys(missing, NOTHING["describe_table"])
    aws.answers["get_sampling_rules"] = lambda **_: {}
    found = prove(aws, tmp_path, rows, FakeClock())
    # Then each is in the proof once
    asked = sum(kind.lookup is not None for kind in resource_types.TYPES.values())
    assert (found.gone.asked, found.gone.with_parent, found.gone.not_asked) == (asked, len(rows) - asked, ())
    text = drawn(found)
    assert (
        f"gone: {len(rows)} resources: {asked} by the answers of their own services, {len(rows) - asked} with" in text
    )
    assert "CodeDeploy application" in text and "REST API" in text


def _operations() -> list[str]:
    return [
        "get_api_key",
        "get_rest_api",
        "get_usage_plan",
        "get_application",
        "get_role",
        "get_event_source_mapping",
        "get_layer_version_by_arn",
        "get_bucket_policy",
    ]


def test_the_alias_of_a_key_is_asked_and_not_taken_for_gone(tmp_path: Path) -> None:
    # Given an alias that is still there, though its key is scheduled for deletion
    rows = [resource("Key", "k", KEY), resource("Alias", "alias/shop-dev-key", KEY_ALIAS)]
    aws = account(describe_key=lambda **_: {"KeyMetadata": {"KeyState": "PendingDeletion"}})
    found = prove(aws, tmp_path, rows, FakeClock())
    # Then it is left behind, and the key is not
    assert {(i.name, i.expected) for i in found.left} == {("k", True), ("alias/shop-dev-key", False)}


def test_parts_of_what_is_kept_are_kept(tmp_path: Path) -> None:
    rows = [resource("Bucket", "b", BUCKET), resource("Policy", "b", "AWS::S3::BucketPolicy")]
    aws = account(head_bucket=lambda **_: {}, get_bucket_policy=lambda **_: {})
    found = prove(aws, tmp_path, rows, FakeClock(), keep=("Bucket", "Policy"))
    assert [(i.kind, i.why) for i in found.left] == [("bucket", "kept"), ("bucket policy", "kept")]


def test_expired_credentials_end_the_proof(tmp_path: Path) -> None:
    def expired(**_: Any) -> Any:
        raise CredentialsError("expired")

    rows = [resource("Source", "u", EVENT_SOURCE)]
    with pytest.raises(CredentialsError):
        prove(account(get_event_source_mapping=expired), tmp_path, rows, FakeClock())


def test_a_denied_search_by_tags_is_a_note(tmp_path: Path) -> None:
    def denied(**_: Any) -> Any:
        raise AwsError("tagging get_resources: not authorized", code="access-denied")

    found = prove(account(get_resources=denied), tmp_path, [], FakeClock())
    assert [i.kind for i in found.gone.not_asked] == ["search by tags"] and found.clean


def test_a_second_destroy_looks_for_the_stacks_own_names(tmp_path: Path) -> None:
    # Given no stack, and an alarm, a function and a key's alias of its names
    def only(field: str, name: str) -> Any:
        def answer(**given: Any) -> Any:
            if given[field] != name:
                raise AwsError("no", service_code="404")
            return {"KeyMetadata": {}}

        return answer

    aws = account(
        describe_alarms=lambda AlarmNames: {"MetricAlarms": [1] if AlarmNames == ["shop-dev-api-4xx"] else []},
        get_function_configuration=only("FunctionName", "shop-dev-emptier"),
        describe_key=only("KeyId", "alias/shop-dev-key"),
    )
    clock = FakeClock()
    target = Target(aws, Environment(name="dev", project="shop", root=tmp_path))
    items, not_asked = finished(proof.orphans(target, clock=clock.clock))
    # Then each is named, after it was asked again for as long as AWS may not know
    names = {("alarm", "shop-dev-api-4xx"), ("function", "shop-dev-emptier"), ("key alias", "alias/shop-dev-key")}
    assert {(i.kind, i.name) for i in items} == names and not_asked == ()
    assert clock.now == 90
