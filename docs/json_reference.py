"""docs/json.md: what each command prints under --json, out of the types that it prints."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from docs import shapes
from rtp.commands import local, synth, trust, version
from rtp.commands.render import engine
from rtp.ops import doctor, history, project_tests, scaffold, secrets, settings
from rtp.ops.access import policy
from rtp.ops.capacity import report
from rtp.ops.dlq import inspect, purge, redrive, runs, undo
from rtp.ops.drill import leftovers
from rtp.ops.drill import report as drill_report
from rtp.ops.events import records, replay, run, sent, summary, tally
from rtp.ops.keys import change, listing
from rtp.ops.rehearse import report as rehearsal
from rtp.ops.stack import diff, own_bucket, roll_back, steps
from rtp.ops.stack.build import bootstrap, contents
from rtp.ops.stack.compare import approval
from rtp.ops.stack.teardown import inventory, proof
from rtp.ops.telemetry import alarms, logevent, segments, status, story, trace_list
from rtp.ops.triage import actions, incident
from rtp.ops.triage import report as triage
from rtp.terminal.documents import ErrorDocument

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class Printed:
    """What a command prints. documents: one of these. lines: a stream of these, by `type`. note: when which."""

    documents: tuple[Any, ...] = ()
    lines: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


_ENGINE = Printed((engine.EngineReport,))
_STEPS = {"warning": steps.Warn, "event": steps.Event, "emptied": steps.Emptied, "result": steps.Result}

PRINTED = {
    "init": Printed((scaffold.Scaffold,)),
    "test": Printed((project_tests.Tested,), note="pytest's own output is on stderr"),
    "config": Printed((settings.Listing,)),
    "synth": Printed((synth.Synthesised,), note="--stdout prints the template itself, without a version"),
    "diff": Printed((diff.Diff, diff.SecurityDiff), note="the second with --security-only"),
    "processors": Printed((contents.Contents,)),
    "secrets set": Printed((secrets.Change,)),
    "secrets list": Printed((secrets.Secrets,)),
    "secrets delete": Printed((secrets.Change,)),
    "keys list": Printed((listing.Keys,)),
    "keys create": Printed((change.NewKey,)),
    "keys rotate": Printed((change.NewKey, change.Revoked), note="the second with --finish"),
    "keys revoke": Printed((change.Revoked,)),
    "capacity": Printed((report.Capacity,)),
    "bootstrap": Printed((bootstrap.Bootstrap, own_bucket.Removed), note="the second with --remove"),
    "deploy": Printed(
        lines={
            "rehearsal": rehearsal.Rehearsal,
            "changeset": approval.Plan,
            **_STEPS,
            "smoke": steps.Smoke,
            "outputs": steps.Outputs,
            "saved": steps.Saved,
        },
        note="with --watch a save begins with `saved`, and its error ends this save's deploy alone",
    ),
    "rollback": Printed(
        (roll_back.Releases,),
        {"changeset": approval.Plan, **_STEPS, "smoke": steps.Smoke, "outputs": steps.Outputs},
        note="the document with --list",
    ),
    "destroy": Printed(lines={"plan": inventory.Plan, **_STEPS, "drained": steps.Drained, "proof": proof.Proof}),
    "status": Printed((status.Status,), {"status": status.Status}, note="the stream with --watch"),
    "outputs": Printed((dict[str, str],), note="the stack's outputs by key"),
    "history": Printed((history.History,)),
    "history show": Printed((history.Entry,)),
    "triage": Printed((triage.Triage,)),
    "triage show": Printed((triage.FailureGroup,)),
    "triage ack": Printed((actions.Done,)),
    "triage mute": Printed((actions.Done,)),
    "triage resolve": Printed((actions.Done,)),
    "triage reopen": Printed((actions.Done,)),
    "triage note": Printed((actions.Done,)),
    "report": Printed((incident.Incident,)),
    "alarms": Printed((alarms.Alarms,)),
    "send": Printed((sent.SentEvent, summary.SentEvents), note="of one event, or of several"),
    "show": Printed((story.StoryDocument,)),
    "records": Printed((records.Records, tally.Tally), note="the second with --count or --by"),
    "logs": Printed(lines={"log": logevent.LogEvent}, note="--format json is the same"),
    "traces": Printed((trace_list.Traces,), {"trace": trace_list.Summary}, note="the stream with --follow"),
    "traces show": Printed((segments.Trace,)),
    "dlq inspect": Printed((inspect.Inspection, tally.Tally), note="the second with --count or --by"),
    "dlq redrive": Printed((redrive.Report,)),
    "dlq runs": Printed((runs.Runs,)),
    "dlq follow": Printed((runs.RunState,)),
    "dlq stop": Printed((runs.StopRequest,)),
    "dlq undo": Printed((undo.Undone,)),
    "dlq purge": Printed((purge.Purged,)),
    "drill": Printed((drill_report.Drill, leftovers.CleanedUp), note="the second with --clean-up"),
    "replay": Printed((replay.Replay,)),
    "rehearse": Printed((rehearsal.Rehearsal,)),
    "local start": _ENGINE,
    "local stop": _ENGINE,
    "local status": _ENGINE,
    "local reset": _ENGINE,
    "local logs": Printed(lines={"engine-log": local.LogLine}),
    "local env": Printed((dict[str, str],), note="environment variables by name"),
    "run": Printed((run.Run,)),
    "version": Printed((version.Versions,)),
    "trust": Printed((trust.TrustList,)),
    "doctor": Printed((doctor.Report, policy.PolicyDocument), note="the second with --policy"),
}

_INTRODUCTION = """\
# JSON

What commands print on stdout with `--json`. Written by `make docs` from the types that the commands print; tests
compare the output of real commands with it.

- Every object on stdout begins with `"version": 1`: a document, each line of a stream, an error. The version changes
  when a field is removed or renamed, or when its type, unit or meaning changes. New fields, new values of a status and
  new `type`s of lines do not change it: skip what you do not know. The [changelog](../CHANGELOG.md) says what a version
  changed.
- A command prints one document, or a stream: one object a line, each with its `type` after the version, written at
  once.
- A failure is an object with `error`, in a stream its last line. The [exit code](exit-codes.md) says what kind of
  failure it is. What a command did before it failed is printed too.
- `--query` selects from each object by JMESPath and prints only what it selects.
- Numbers keep every digit. Times are ISO 8601 in UTC; those of an event, its record and its attempts are epoch
  milliseconds. *optional* marks a field that some documents do not have.
- A record is the DynamoDB item, with the data and the result in place of their keys; [records.md](records.md) lists its
  attributes.
"""


def page() -> str:
    """The whole page."""
    kinds = list(dict.fromkeys(kind for hint in hints() for kind in shapes.dataclasses_in(hint)))
    titles = _titles(kinds)
    links = {kind: f"[{title}](#{title.lower().replace(' ', '-')})" for kind, title in titles.items()}
    rows = [_INTRODUCTION, "## Commands", "", "| command | prints |", "| --- | --- |"]
    rows += [f"| `rtp {name}` | {_what(printed, links)} |" for name, printed in PRINTED.items()]
    rows += [f"| any, when it fails | {links[ErrorDocument]} |", "", "## Objects"]
    for kind in sorted(kinds, key=lambda each: titles[each]):
        rows += ["", f"### {titles[kind]}", "", shapes.summary(kind), "", *_table(kind, links)]
    return "\n".join(rows) + "\n"


def hints() -> Iterator[Any]:
    """Every type that is printed, one document or one line each."""
    for printed in PRINTED.values():
        yield from printed.documents
        yield from printed.lines.values()
    yield ErrorDocument


def _titles(kinds: list[type]) -> dict[type, str]:
    """Each type's name, with its module's where several have that name."""
    count = Counter(kind.__name__ for kind in kinds)
    return {
        kind: kind.__name__ if count[kind.__name__] == 1 else f"{kind.__name__} in {kind.__module__.split('.')[-1]}"
        for kind in kinds
    }


def _what(printed: Printed, links: Mapping[type, str]) -> str:
    documents = [shapes.label(hint, links) for hint in printed.documents]
    lines = [f"`{kind}` {shapes.label(hint, links)}" for kind, hint in printed.lines.items()]
    texts = [" or ".join(documents)] if documents else []
    texts += [f"a stream of {', '.join(lines)}"] if lines else []
    return "; ".join([*texts, *([printed.note] if printed.note else [])])


def _table(kind: type, links: Mapping[type, str]) -> list[str]:
    rows = ["| field | type | unit | meaning |", "| --- | --- | --- | --- |"]
    for each in shapes.fields(kind):
        mark = "*optional* " if each.is_optional else ""
        meaning = each.meaning.replace("|", "\\|")
        rows.append(f"| `{each.name}` | {mark}{shapes.label(each.hint, links)} | {each.unit} | {meaning} |")
    return rows
