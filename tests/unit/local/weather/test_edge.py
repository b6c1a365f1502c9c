"""The weather at the edge: calls are identified, faults are bounded, answers stay in the call's protocol."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from rtp.commands.local import _effects_that_begin_with
from rtp.errors import UsageError
from rtp.local.weather.call import Call, Response
from rtp.local.weather.catalogue import EFFECTS, chosen
from rtp.local.weather.choice import Weather
from rtp.local.weather.effects.pages import SmallPages
from rtp.local.weather.effects.partial_batches import PartialBatches
from rtp.local.weather.effects.reads import LaggingReads
from rtp.local.weather.effects.throttling import Throttling
from rtp.local.weather.faults import Budget
from rtp.local.weather.operations import identify
from rtp.local.weather.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.asgi import Scope


def signed(service: str, **more: str) -> dict[str, str]:
    scope = f"LKIA/20270101/us-east-1/{service}/aws4_request"
    headers = {"authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}
    return headers | {name.replace("_", "-"): value for name, value in more.items()}


def form() -> dict[str, str]:
    return signed("cloudformation", content_type="application/x-www-form-urlencoded")


def scope(method: str = "POST", path: str = "/", query: str = "") -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": []}


def call(service: str, target: str, params: dict[str, Any], answer: Callable[[dict[str, Any]], Any]) -> Call:
    """A call of a JSON service whose engine answers by a function of the body."""

    async def engine(sent: Scope, body: bytes) -> Response:
        asked = dict(sent["headers"]).get(b"x-amz-target", target.encode()).decode()
        document = answer({**json.loads(body), "_operation": asked.rpartition(".")[2]})
        return Response(200, ((b"x-amz-crc32", b"1"),), json.dumps(document).encode())

    headers = signed(service, x_amz_target=target, amz_sdk_invocation_id="one")
    given = scope() | {"headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
    body = json.dumps(params).encode()
    return Call(*identify(given, headers, body), given, body, engine, Budget(), headers)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ((scope(), signed("sqs", x_amz_target="AmazonSQS.SendMessage"), b'{"QueueUrl": "q"}'), ("sqs", "SendMessage")),
        ((scope(), form(), b"Action=DescribeStacks"), ("cloudformation", "DescribeStacks")),
        ((scope("GET", "/2015-03-31/functions/f/configuration"), signed("lambda"), b""),
         ("lambda", "GetFunctionConfiguration")),
        ((scope("GET", "/b", "list-type=2&prefix=raw"), signed("s3"), b""), ("s3", "ListObjectsV2")),
        ((scope("PUT", "/b/raw/a%20key"), signed("s3"), b""), ("s3", "PutObject")),
        ((scope("POST", "/b", "delete"), signed("s3"), b""), ("s3", "DeleteObjects")),
        ((scope("GET", "/restapis/a/stages/prod"), signed("apigateway"), b""), ("apigateway", "GetStage")),
        ((scope("POST", "/TraceSummaries"), signed("xray"), b"{}"), ("xray", "GetTraceSummaries")),
        ((scope("POST", "/service/GraniteServiceVersion20100801/operation/GetMetricData"), signed("monitoring"), b""),
         ("cloudwatch", "GetMetricData")),
        ((scope("POST", "/_aws/execute-api/a/prod/events"), {}, b"{}"), ("execute-api", "POST /events")),
    ],
)  # fmt: skip
def test_a_request_is_identified(request_: tuple[Any, Any, bytes], expected: tuple[str, str]) -> None:
    assert identify(*request_)[:2] == expected


def test_parameters_of_a_path_and_a_query_have_the_names_of_the_api() -> None:
    given = scope("GET", "/b", "list-type=2&prefix=raw&continuation-token=t")
    params = identify(given, signed("s3"), b"")[3]
    assert params == {"Bucket": "b", "Prefix": "raw", "ContinuationToken": "t"}
    given = scope("GET", "/2015-03-31/functions/f/configuration", "Qualifier=live")
    assert identify(given, signed("lambda"), b"")[3] == {"FunctionName": "f", "Qualifier": "live"}


def test_one_call_fails_at_most_twice_and_another_one_again() -> None:
    budget = Budget()
    assert [budget.take("one") for _ in range(4)] == [True, True, False, False]
    assert budget.take("two")


def test_the_same_seed_repeats_the_same_choices() -> None:
    def draws(seed: int) -> list[bool]:
        effect = Throttling(seed)
        calls = (call("sqs", "AmazonSQS.ReceiveMessage", {}, dict) for _ in range(200))
        return [asyncio.run(effect.before(each)) is not None for each in calls]

    assert draws(7) == draws(7) != draws(8)
    assert 2 < sum(draws(7)) < 40


def test_a_batch_that_fails_in_part_is_whole_after_three_calls() -> None:
    # Given entries that the engine notes
    stored: list[str] = []

    def engine(body: dict[str, Any]) -> dict[str, Any]:
        stored.extend(entry["MessageBody"] for entry in body["Entries"])
        return {"Successful": [{"Id": entry["Id"]} for entry in body["Entries"]]}

    effect, left = PartialBatches(3), [str(n) for n in range(40)]
    # When those that failed are sent again
    for attempt in range(3):
        entries = [{"Id": str(place), "MessageBody": text} for place, text in enumerate(left)]
        one = call("sqs", "AmazonSQS.SendMessageBatch", {"QueueUrl": "q", "Entries": entries}, engine)
        response = asyncio.run(effect.before(one)) or asyncio.run(one.send())
        failed = response.document.get("Failed", [])
        assert all(not entry["SenderFault"] for entry in failed)
        assert len(response.document["Successful"]) + len(failed) == len(left)
        assert failed or attempt
        left = [left[int(entry["Id"])] for entry in failed]
    # Then each was stored once
    assert left == []
    assert sorted(stored, key=int) == [str(n) for n in range(40)]


def test_small_pages_lead_to_the_whole_list() -> None:
    def engine(_: dict[str, Any]) -> dict[str, Any]:
        return {"events": [{"message": str(n)} for n in range(30)], "nextToken": "of the engine"}

    effect, seen, token, pages = SmallPages(2), list[str](), "", 0
    for _ in range(200):
        if token == "of the engine":
            break
        params = {"logGroupName": "g"} | ({"nextToken": token} if token else {})
        one = call("logs", "Logs_20140328.FilterLogEvents", params, engine)
        response = asyncio.run(effect.before(one)) or asyncio.run(one.send())
        response = asyncio.run(effect.after(one, response))
        seen += [event["message"] for event in response.document["events"]]
        token, pages = response.document["nextToken"], pages + 1
        if pages == 1 and token == "of the engine":  # not split this time
            seen, token, pages = [], "", 0
    assert seen == [str(n) for n in range(30)]
    assert pages > 1


def test_a_write_is_seen_by_an_index_when_its_lag_has_passed() -> None:
    now, items = [100.0], dict[str, Any]()

    def engine(body: dict[str, Any]) -> dict[str, Any]:
        if body["_operation"] == "DescribeTable":
            return {"Table": {"KeySchema": [{"AttributeName": "id"}]}}
        if body["_operation"] == "PutItem":
            items["a"] = body["Item"]
        if body["_operation"] == "GetItem":
            return {"Item": items["a"]} if "a" in items else {}
        return {"Items": list(items.values()), "Count": len(items)}

    effect = LaggingReads(1, lambda: now[0])
    effect.random.random = lambda: 0.0  # type: ignore[method-assign]
    target = "DynamoDB_20120810."
    write = call("dynamodb", f"{target}PutItem", {"TableName": "t", "Item": {"id": {"S": "a"}}}, engine)
    asyncio.run(effect.before(write))
    asyncio.run(write.send())

    def read(**more: Any) -> int:
        query = call("dynamodb", f"{target}Query", {"TableName": "t", **more}, engine)
        return int(asyncio.run(effect.after(query, asyncio.run(query.send()))).document["Count"])

    assert (read(IndexName="i"), read(ConsistentRead=True)) == (0, 1)
    now[0] += 3
    assert read(IndexName="i") == 1


def test_a_write_by_partiql_is_seen_by_a_batch_of_reads_when_its_lag_has_passed() -> None:
    now, items = [100.0], {"a": {"id": {"S": "a"}, "status": {"S": "new"}}}
    keys = {"t": {"Keys": [{"id": {"S": "a"}}]}}

    def engine(body: dict[str, Any]) -> dict[str, Any]:
        if body["_operation"] == "DescribeTable":
            return {"Table": {"KeySchema": [{"AttributeName": "id"}]}}
        if body["_operation"] == "GetItem":
            return {"Item": dict(items[body["Key"]["id"]["S"]])} if body["Key"]["id"]["S"] in items else {}
        return {"Responses": {"t": list(items.values())}}

    effect = LaggingReads(1, lambda: now[0])
    effect.random.random = lambda: 0.0  # type: ignore[method-assign]
    target = "DynamoDB_20120810."
    # Given an item that a statement changes, one that another inserts, and a statement that is not valid
    statements = [
        {
            "Statement": 'UPDATE "t" SET "status" = ? WHERE "id" = ? AND "status" = ?',
            "Parameters": [{"S": "done"}, {"S": "a"}, {"S": "new"}],
        },
        {"Statement": "INSERT INTO \"t\" VALUE {'id': ?}", "Parameters": [{"S": "b"}]},
        {"Statement": "UPDATE"},
    ]
    asyncio.run(effect.before(call("dynamodb", f"{target}BatchExecuteStatement", {"Statements": statements}, engine)))
    items["a"]["status"] = {"S": "done"}
    items["b"] = {"id": {"S": "b"}}

    def read(**more: Any) -> list[str]:
        requested = {"t": {**keys["t"], **more}}
        batch = call("dynamodb", f"{target}BatchGetItem", {"RequestItems": requested}, engine)
        response = asyncio.run(effect.after(batch, asyncio.run(batch.send())))
        return [item.get("status", {}).get("S", "") for item in response.document["Responses"]["t"]]

    # Then a read that need not be consistent shows what was there before
    assert (read(), read(ConsistentRead=True)) == (["new"], ["done", ""])
    now[0] += 3
    assert read() == ["done", ""]


def test_a_repeated_call_with_a_token_gets_its_first_answer() -> None:
    calls: list[bytes] = []

    async def engine(_: Scope, body: bytes) -> Response:
        calls.append(body)
        return Response(200, (), str(len(calls)).encode())

    body = b"Action=CreateChangeSet&StackName=s&ClientToken=one"
    given = Call(*identify(scope(), form(), body), scope(), body, engine, Budget(), {})
    tokens = Tokens()
    assert [asyncio.run(tokens.send(given)).body for _ in range(2)] == [b"1", b"1"]


@pytest.mark.parametrize("service", ["sqs", "dynamodb", "s3", "lambda", "cloudformation", "apigateway", "cloudwatch"])
def test_botocore_reads_an_error_as_one_that_it_retries(service: str) -> None:
    from botocore.parsers import create_parser
    from botocore.retries import standard
    from botocore.session import Session

    model = Session().get_service_model(service)
    ours = {"json": "json", "query": "query", "rest-json": "rest-json", "rest-xml": "rest-xml"}
    protocol = "cbor" if "cbor" in model.resolved_protocol else ours[model.resolved_protocol]
    one = Call(service, "Any", protocol, {}, scope(), b"", None, Budget(), {})  # type: ignore[arg-type]
    effect = Throttling(1)
    effect.random.random = lambda: 0.0  # type: ignore[method-assign]
    response = asyncio.run(effect.before(one))
    assert response is not None
    throttled: Any = getattr(standard.ThrottledRetryableChecker, "_THROTTLED_ERROR_CODES")  # noqa: B009
    parser: Any = create_parser(model.resolved_protocol)
    parsed = parser.parse(
        {
            "body": response.body,
            "headers": {name.decode(): value.decode() for name, value in response.headers},
            "status_code": response.status,
        },
        None,
    )
    assert parsed["Error"]["Code"] in {*throttled, "SlowDown"}


def test_every_effect_has_its_name_its_sentence_and_its_source() -> None:
    names = [kind.name for kind in EFFECTS]
    assert len(set(names)) == len(names)
    for kind in EFFECTS:
        assert kind.summary.endswith(".")
        assert all(url.startswith("https://") for url in kind.source.split())


def test_effects_are_chosen_by_name_and_unknown_ones_are_refused() -> None:
    assert [kind.name for kind in chosen(["resets"])] == ["resets"]
    assert "expired-credentials" not in [kind.name for kind in chosen([])]
    with pytest.raises(UsageError, match="Did you mean 'throttling'"):
        Weather.of(7, ["throtling"])
    assert _effects_that_begin_with("resets,thr") == ["resets,throttling"]
