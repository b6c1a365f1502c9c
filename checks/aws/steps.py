"""The steps: each shows on an account what some rows of docs/verified.md say. The order is that of a run."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from checks.aws.throwaway import PROCESSORS, CheckError, until
from rtp.aws import stacks
from rtp.aws.changesets import INLINE_BYTES
from rtp.contract import Output
from rtp.ops.events.identity import uuid7

if TYPE_CHECKING:
    from collections.abc import Callable

    from checks.aws.throwaway import Throwaway

_MANY = 20
_APART_S = 10.0  # between the first attempts of an event and its redrive
# Regular expressions of CloudWatch's syntax, each with a line that matches.
_REGEXES = {
    "^begin": "begin here",
    "end$": "the end",
    "[0-9]+": "n 12",
    "a|b": "xb",
    "colou?r": "color",
    "\\d\\d": "12",
}
# JSON text that both paths refuse.
_ODD_JSON = (
    '{"a": 1, "a": 1}',
    '{"a": {"b": [{"c": 1, "\\u0063": null}]}}',
    '{"s": "\\ud800"}',
    '{"n": NaN}',
    f'{{"n": {"9" * 39}}}',
    f'{{"n": {"[" * 63}{"]" * 63}}}',
)


@dataclass(frozen=True, slots=True)
class Step:
    """A step. run: returns what it measured, in one line; raises CheckError. needs_account: why, or empty."""

    name: str
    summary: str
    run: Callable[[Throwaway], str]
    needs_account: str = ""


STEPS: dict[str, Step] = {}


def step(name: str, *, needs_account: str = "") -> Callable[[Callable[[Throwaway], str]], Callable[[Throwaway], str]]:
    """Register a step under a name; its docstring is its summary."""

    def register(run: Callable[[Throwaway], str]) -> Callable[[Throwaway], str]:
        STEPS[name] = Step(name, (run.__doc__ or "").strip(), run, needs_account)
        return run

    return register


def _expect(condition: object, text: str) -> None:
    if not condition:
        raise CheckError(text)


@step("pin", needs_account="the engine has one account")
def _pin(target: Throwaway) -> str:
    """Credentials of another account than rtp.toml names are refused."""
    other = str((int(target.account or "0") + 1) % 10**12).zfill(12)
    target.write(account=other)
    try:
        error = target.rtp("deploy", "--yes", "--json", codes=(3, 5)).json["error"]
    finally:
        target.write()
    _expect(other in error["message"], f"the refusal does not name account {other}: {error['message']}")
    return str(error["code"])


@step("credentials", needs_account="the engine takes its own keys")
def _credentials(target: Throwaway) -> str:
    """An access key that does not exist ends a command with exit code 3."""
    target.profile, profile = None, target.profile
    target.write()
    keys = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "x" * 40, "AWS_SESSION_TOKEN": ""}
    try:
        error = target.rtp("status", "--json", environ=keys, codes=(3,)).json["error"]
    finally:
        target.profile = profile
        target.write()
    return str(error["code"])


@step("bootstrap", needs_account="the engine prepares itself")
def _bootstrap(target: Throwaway) -> str:
    """The account and region are bootstrapped, by the CDK CLI where they are not yet."""
    finished = target.rtp("bootstrap", "--yes")
    return (finished.stdout or finished.stderr).strip().splitlines()[-1][:200]


@step("secrets")
def _secrets(target: Throwaway) -> str:
    """A deploy names a missing secret; it is set from stdin and listed."""
    target.rtp("secrets", "set", "CHECK_TOKEN", stdin="0123456789")
    listed = target.rtp("secrets", "list", "--json").stdout
    _expect("CHECK_TOKEN" in listed and "0123456789" not in listed, "the list lacks the name, or shows the value")
    return "set and listed"


@step("deploy")
def _deploy(target: Throwaway) -> str:
    """A first deploy succeeds, with a smoke event on AWS; the template is too large for a request of CloudFormation."""
    target.rtp("deploy", "--yes")
    template = json.dumps(stacks.template(target.aws, target.stack), separators=(",", ":"))
    _expect(len(template) > INLINE_BYTES, f"the template has {len(template)} bytes, which a request takes")
    return f"a template of {len(template)} bytes"


@step("doctor")
def _doctor(target: Throwaway) -> str:
    """Doctor finds nothing that fails: credentials, clock, logging role, limits, stack."""
    report = target.rtp("doctor", "--json", codes=(0, 1)).json
    failed = [check["name"] for check in report["checks"] if check["verdict"] == "fail"]
    _expect(not failed, f"failed: {', '.join(failed)}")
    return f"{len(report['checks'])} checks"


@step("events")
def _events(target: Throwaway) -> str:
    """Events by every entry, in batches, are processed once each; a secret is read by the function."""
    for via in ("api", "events", "sqs"):
        data = ("--data", '{"n": 1}', "--type", "check.ok")
        target.rtp("send", *data, "--via", via, "--count", str(_MANY), "--wait", "--timeout", "300")
        target.sent += _MANY
    [id] = target.queue({"type": "check.secret", "data": {}})
    result = target.ended(id)
    _expect(result["status"] == "processed", f"the function did not read its secret: {result}")
    return f"{3 * _MANY + 1} events"


@step("batch")
def _batch(target: Throwaway) -> str:
    """Of a batch only the failing message is delivered again, and ends dead."""
    good = [{"type": "check.ok", "data": {"n": n}} for n in range(9)]
    *ids, failing = target.queue(*good, {"type": "check.fail", "data": {}})
    for id in ids:
        record = target.ended(id)
        _expect(record["status"] == "processed", f"{id} is {record['status']}")
        _expect(len(target.records(id)) == 1, f"{id} has more than one record")
    _expect(target.ended(failing)["status"] == "dead", "the failing event is not dead")
    return "9 processed, 1 dead"


@step("model")
def _model(target: Throwaway) -> str:
    """The body model's `anyOf` and `not` refuse what they must, and nothing else."""
    for path in ("process", "events"):
        status, _ = target.post(path, json.dumps({"data": {}}))
        _expect(status == 400, f"{path} answers {status} to an event without a type")
        status, _ = target.post(path, json.dumps({"id": uuid7(), "type": "check.ok", "data": {"n": 1}}))
        _expect(status in (200, 202), f"{path} answers {status} to a valid event")
    return "400, and 2xx"


@step("charset")
def _charset(target: Throwaway) -> str:
    """A charset parameter in Content-Type does not change the answer, with passthrough NEVER."""
    body = json.dumps({"id": uuid7(), "type": "check.ok", "data": {"n": 1}})
    answers = {path: target.post(path, body, Content_Type="application/json; charset=utf-8") for path in ("events",)}
    _expect(all(status in (200, 202) for status, _ in answers.values()), f"answers: {answers}")
    return ", ".join(f"{path} {status}" for path, (status, _) in answers.items())


@step("template")
def _template(target: Throwaway) -> str:
    """The mapping template of /events carries a lone `$`, odd trace headers change nothing, and odd JSON is refused."""
    texts = ("$", "$input.body", "${x}", "#set($a=1)", "\\$", '"')
    headers = ("Root=1-67891233-abcdef012345678912345678;Sampled=1", "$x", "a;b='c'", "Root=1-1-1")
    for text in texts:
        id = uuid7()
        status, answer = target.post("events", json.dumps({"id": id, "type": "check.ok", "data": {"n": text}}))
        _expect(status in (200, 202), f"{text!r}: {status} {answer}")
        stored = target.ended(id)["data"]["n"]
        _expect(stored == text, f"{text!r} was stored as {stored!r}")
    for header in headers:
        body = json.dumps({"id": uuid7(), "type": "check.ok", "data": {}})
        status, answer = target.post("events", body, X_Amzn_Trace_Id=header)
        _expect(status in (200, 202), f"trace header {header!r}: {status} {answer}")
    for data in _ODD_JSON:
        for path in ("events", "process"):
            status, answer = target.post(path, f'{{"type": "check.ok", "data": {data}}}')
            _expect(status == 400, f"{path} answers {status} to {data[:40]}: {answer}")
    plain = '{"n": null, "é": [{"a:": 1.50}, "\\\\ud800", ":{[", {}], "s": "\\ud83d\\ude00"}'
    status, answer = target.post("events", f'{{"id": "{uuid7()}", "type": "check.ok", "data": {plain}}}')
    _expect(status in (200, 202), f"{plain}: {status} {answer}")
    return f"{len(texts)} texts, {len(headers)} headers, {len(_ODD_JSON)} refused"


@step("unicode")
def _unicode(target: Throwaway) -> str:
    """U+FFFE and U+FFFF arrive unchanged by both paths of the API, and bytes that are not UTF-8 are refused."""
    text = "\ufffe and \uffff"
    for path in ("events", "process"):
        id = uuid7()
        body = json.dumps({"id": id, "type": "check.ok", "data": {"n": text}}, ensure_ascii=True)
        status, answer = target.post(path, body)
        _expect(status in (200, 202), f"{path}: {status} {answer}")
        _expect(target.ended(id)["data"]["n"] == text, f"{path} changed the text")
        status, answer = target.post(path, b'{"type": "check.ok", "data": {"n": "Andr\xe9"}}')
        _expect(status == 400, f"{path}, Latin-1: {status} {answer}")
    return "unchanged, and Latin-1 refused"


@step("repair")
def _repair(target: Throwaway) -> str:
    """A redrive and a purge receive every message of the dead-letter queue."""
    ids = [id for _ in range(3) for id in target.queue(*[{"type": "check.reject", "data": {}}] * 5)]
    for id in ids:
        _expect(target.ended(id)["status"] == "dead", f"{id} is not dead")
    # SQS shows a message some time after its record says that the event is dead: a redrive ends by SQS's counts.
    until(lambda: set(ids) <= set(_dead(target)), seconds=300, what="every event is in the dead-letter queue")
    redriven = target.rtp("dlq", "redrive", "--all", "--no-canary", "--yes", "--json").json["redriven"]
    _expect(redriven >= len(ids), f"{redriven} of {len(ids)} messages were redriven")
    for id in ids:
        until(partial(_died_again, target, id), seconds=300, what=f"event {id} is dead again")
    # SQS's counts may lag by a minute, so that what is there is read
    until(lambda: len(_dead(target)) >= len(ids), seconds=300, what="all are in the dead-letter queue again")
    deleted = target.rtp("dlq", "purge", "--all", "--yes", "--json").json["deleted"]
    _expect(deleted >= len(ids), f"{deleted} of {len(ids)} messages were purged")
    until(lambda: not (_dead(target) and _purged(target)), seconds=300, what="the dead-letter queue is empty")
    return f"{len(ids)} redriven and purged"


def _died_again(target: Throwaway, id: str) -> bool:
    return any(record["source"] == "redrive" and record["status"] == "dead" for record in target.records(id))


def _dead(target: Throwaway) -> list[str]:
    messages = target.rtp("dlq", "inspect", "--limit", "1000", "--json", codes=(0, 6)).json["messages"]
    return [message["id"] for message in messages]


def _purged(target: Throwaway) -> bool:
    """Purge once more what SQS delivered again, or what died meanwhile. Returns true: it is to be read again."""
    target.rtp("dlq", "purge", "--all", "--yes")
    return True


@step("traces")
def _traces(target: Throwaway) -> str:
    """X-Ray finds a redriven event's trace by its latest change, and shows the worker's part in it."""
    data = ("--type", "check.reject", "--data", "{}")
    sent = target.rtp("send", *data, "--via", "events", "--json").json  # the first event of a command is sampled
    target.sent += 1
    id, trace = sent["id"], sent["trace_id"]
    target.ended(id)
    until(lambda: id in _dead(target), seconds=300, what="the event is in the dead-letter queue")
    time.sleep(_APART_S)
    since = str(int(time.time() * 1000))
    target.rtp("dlq", "redrive", "--id", id, "--no-canary", "--yes")
    until(lambda: _died_again(target, id), seconds=300, what="the event is dead again")

    def listed() -> bool:
        traces = target.rtp("traces", "--since", since, "--limit", "1000", "--json").json["traces"]
        return trace in {one["id"] for one in traces}

    until(listed, seconds=300, what="the trace is found by the time of the redrive")
    shown = json.dumps(target.rtp("traces", "show", trace, "--json").json)
    _expect(target.outputs[Output.WORKER] in shown, "the worker's part is not in the trace")
    return "found by the time of the redrive, with the worker's part"


@step("patterns", needs_account="TestMetricFilter is CloudWatch's own matcher")
def _patterns(target: Throwaway) -> str:
    """CloudWatch takes the regular expressions that rtp takes for filters, and matches as the standard library."""
    for regex, line in _REGEXES.items():
        answer = target.aws.call("logs", "test_metric_filter", filterPattern=f"%{regex}%", logEventMessages=[line, "~"])
        matched = {match["eventMessage"] for match in answer["matches"]}
        expected = {text for text in (line, "~") if re.search(regex, text)}
        _expect(matched == expected, f"{regex!r} matches {matched}, not {expected}")
    return f"{len(_REGEXES)} expressions"


@step("metrics", needs_account="the engine computes metric maths by its own rules")
def _metrics(target: Throwaway) -> str:
    """CloudWatch computes every alarm's metric maths, FILL included."""
    from datetime import UTC, datetime, timedelta

    alarms = list(target.aws.pages("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=target.stack))
    now = datetime.now(UTC)
    computed = 0
    for alarm in alarms:
        if queries := alarm.get("Metrics"):
            window = {"StartTime": now - timedelta(hours=1), "EndTime": now}
            answer = target.aws.call("cloudwatch", "get_metric_data", MetricDataQueries=queries, **window)
            codes = {result["StatusCode"] for result in answer["MetricDataResults"]}
            _expect(codes <= {"Complete"}, f"{alarm['AlarmName']}: {codes}")
            computed += 1
    _expect(computed, "no alarm has metric maths")
    return f"{computed} of {len(alarms)} alarms"


@step("throttled", needs_account="the engine does not limit concurrency")
def _throttled(target: Throwaway) -> str:
    """A throttled function's answer on /process is an error that clients repeat."""
    name = target.outputs[Output.PROCESSOR]
    target.aws.call("lambda", "put_function_concurrency", FunctionName=name, ReservedConcurrentExecutions=0)
    try:

        def refused() -> int:
            status, _ = target.post("process", json.dumps({"id": uuid7(), "type": "check.ok", "data": {}}))
            return status if status >= 400 else 0

        status = until(refused, seconds=120, what="a request is throttled")
    finally:
        target.aws.call("lambda", "delete_function_concurrency", FunctionName=name)
    _expect(status in (429, 503), f"the answer is {status}")
    return str(status)


@step("change")
def _change(target: Throwaway) -> str:
    """A changed setting and a change of code alone are shown by a change set, applied, and leave no difference."""
    changed = PROCESSORS.replace('return {"n"', 'return {"changed": True, "n"')
    for processors in (PROCESSORS, changed):
        target.write(processors, timeout_s=20)
        target.rtp("deploy", "--yes", "--dry-run")
        target.rtp("diff", "--fail", codes=(1,))
        target.rtp("deploy", "--yes")
        target.rtp("diff", "--fail")
    return "shown and applied, also by rtp itself through the CDK's bucket"


@step("drift")
def _drift(target: Throwaway) -> str:
    """Drift detection of every resource type ends, and finds none."""
    drift = target.rtp("diff", "--drift", "--json").json.get("drift")
    return f"{len(drift or [])} differences"


@step("rollback", needs_account="it takes ten minutes of real metrics")
def _rollback(target: Throwaway) -> str:
    """A version that fails sets off an alarm on the aliases, and CloudFormation rolls it back."""
    target.write(PROCESSORS.replace('return {"n"', 'raise RuntimeError("bad version")\n    return {"n"'), timeout_s=20)

    def fail() -> None:
        target.post("process", json.dumps({"id": uuid7(), "type": "check.ok", "data": {}}))

    try:
        finished = target.rtp("deploy", "--yes", "--watch-alarms", "10m", codes=(1,), during=fail)
    finally:
        target.write(timeout_s=20)
    return (finished.stderr or finished.stdout).strip().splitlines()[-1][:200]


@step("cold", needs_account="cold starts are Lambda's")
def _cold(target: Throwaway) -> str:
    """Lambda's own report of cold starts."""
    times: list[float] = []
    for name in (target.outputs[Output.PROCESSOR], target.outputs[Output.WORKER]):
        pattern = {"logGroupName": f"/aws/lambda/{name}", "filterPattern": '"Init Duration"'}
        for event in target.aws.pages("logs", "filter_log_events", "events", **pattern):
            times += [float(text) for text in re.findall(r"Init Duration: ([\d.]+) ms", event["message"])]
    _expect(times, "no cold start is reported")
    return f"{len(times)} cold starts, {min(times):.0f} to {max(times):.0f} ms"


@step("destroy")
def _destroy(target: Throwaway) -> str:
    """The intake is closed, the queue drained, and everything deleted, each resource asked of its own service."""
    finished = target.rtp("destroy", "--yes", "--drain")
    target.rtp("status", codes=(4,))
    return (finished.stdout or finished.stderr).strip().splitlines()[-1][:200]
