"""Ids of which a part is given, the ids that were shown, and what a shell completes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rtp.commands import completion, ids
from rtp.commands.dlq_options import Selection
from rtp.config import Environment, Overrides
from rtp.config.environments import resolve
from rtp.contract import Output
from rtp.errors import UsageError
from rtp.ops import shown
from rtp.ops.dlq.filters import Filters
from rtp.ops.events import partial_ids
from rtp.ops.shown import Shown
from rtp.text import times

A, B, C = (f"01890a5d-ac96-774b-bcce-b30209{end}" for end in ("aaaa57", "bbbb57", "cccc58"))
NOW = times.now_ms()


class Table:
    """Records by id in DynamoDB, as far as the search of a part asks for them."""

    def __init__(self, *event_ids: str) -> None:
        self.ids = event_ids
        self.local = True

    def connect(self, *_services: str) -> None:
        """No connection is needed."""

    def pages(self, _service: str, _operation: str, _member: str, **query: Any) -> list[dict[str, Any]]:
        values = query["ExpressionAttributeValues"]
        exact = values.get(":id", {}).get("S")
        status = values.get(":s", {"S": ""})["S"]
        return [
            {"id": {"S": i}, "timestamp": {"N": str(NOW - n)}, "status": {"S": "dead"}, "type": {"S": "order"}}
            for n, i in enumerate(self.ids)
            if i == exact or status == "dead#0"
        ]


def found(aws: Table, part: str, *known: str) -> list[str]:
    outputs = {Output.TABLE.value: "t", Output.BUCKET.value: "b"}
    candidates = partial_ids.find(aws, outputs, part, shown=known, shards=1, now=NOW)  # type: ignore[arg-type]
    return [candidate.id for candidate in candidates]


@pytest.mark.parametrize(
    ("part", "expected"),
    [("aaaa57", [A]), ("57", [A, B]), ("01890a5d", [A, B, C]), ("ac96", []), (A, [A]), ("zzzz", [])],
)
def test_a_beginning_or_an_end_stands_for_the_events_that_have_it(part: str, expected: list[str]) -> None:
    assert found(Table(A, B, C), part) == expected


def test_an_exact_id_wins_over_longer_ones() -> None:
    assert found(Table("order-1", "order-12"), "order-1") == ["order-1"]
    assert found(Table("order-11", "order-12"), "order-1") == ["order-11", "order-12"]


def test_an_event_that_was_shown_is_found_without_its_record() -> None:
    assert found(Table(B), "cccc58", C) == [C]


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    (tmp_path / "rtp.toml").write_text(
        'project = "shop"\n[processors]\npath = "p.py"\n[env.staging]\n[defaults]\nsecrets = ["TOKEN"]\n'
    )
    (tmp_path / "p.py").write_text(
        "@processor(\"order.created\")\ndef a(e): ...\n@rtp.processor('user.gone')\ndef b(e): ...\n"
    )
    return resolve(Overrides(project_dir=str(tmp_path)), environ={})


def test_what_was_shown_is_remembered_newest_first_and_privately(environment: Environment) -> None:
    shown.remember(environment, [Shown(A, status="failed"), Shown(B)])
    shown.remember(environment, [Shown(C), Shown(A, status="dead")])
    assert [(e.id, e.status) for e in shown.recall(environment)] == [(C, ""), (A, "dead"), (B, "")]
    (file,) = (environment.state / "shown").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    shown.remember(environment, [Shown(f"id-{n}") for n in range(3000)])
    assert len(shown.recall(environment)) == 2000


@pytest.mark.parametrize("content", ["", "{", "[1, {}]", '[{"id": 1}]', '[{"id": "a", "at": "x"}]', "\x00", "[" * 9000])
def test_a_file_that_cannot_be_read_is_as_good_as_none(environment: Environment, content: str) -> None:
    shown.remember(environment, [Shown(A)])
    (file,) = (environment.state / "shown").iterdir()
    file.write_text(content)
    assert shown.recall(environment) == []
    shown.remember(environment, [Shown(B)])
    assert [e.id for e in shown.recall(environment)] == [B]


def test_nothing_is_written_outside_of_a_project(tmp_path: Path) -> None:
    environment = resolve(Overrides(project_dir=str(tmp_path)), environ={})
    shown.remember(environment, [Shown(A)])
    assert list(tmp_path.iterdir()) == []


def session(environment: Environment, aws: Table) -> Any:
    out = SimpleNamespace(json=True, say=lambda *_: None)
    outputs = {Output.TABLE.value: "t", Output.BUCKET.value: "b"}
    return SimpleNamespace(environment=environment, aws=aws, outputs_to_read=outputs, out=out)


def test_a_reading_command_takes_what_a_narrow_list_shows(environment: Environment) -> None:
    assert ids.event_id(session(environment, Table(A, B, C)), "…aaaa57") == A
    assert ids.event_id(session(environment, Table()), "nobody") == "nobody"
    assert ids.event_id(session(environment, Table()), A) == A
    with pytest.raises(UsageError, match=f"stands for 3 events: {A}, {B}, {C}") as caught:
        ids.event_id(session(environment, Table(A, B, C)), "01890a5d")
    assert caught.value.code == "ambiguous-id"


def test_several_events_are_listed_for_a_person_with_age_and_status(environment: Environment) -> None:
    said: list[Any] = []
    asking = session(environment, Table(A, B))
    asking.out = SimpleNamespace(json=False, say=said.append)

    with pytest.raises(UsageError, match=r"01890a5d stands for 2 events\."):
        ids.event_id(asking, "01890a5d")

    (table,) = said
    assert [column.title for column in table.columns] == ["ID", "AGE", "STATUS", "TYPE"]
    assert [(row[0].text, row[2]) for row in table.rows] == [(A, "dead"), (B, "dead")]
    assert all(row[1] not in ("", "-") for row in table.rows)


def test_a_trace_that_was_shown_is_found_by_its_end(environment: Environment) -> None:
    trace = "1-6b092a0f-67a2019b5a44f0aaea72b848"
    shown.remember(environment, [Shown(trace, "trace"), Shown(A)])
    assert ids.trace_or_event_id(session(environment, Table(A)), "…ea72b848") == trace
    assert ids.trace_or_event_id(session(environment, Table(A)), "aaaa57") == A


def test_a_command_that_changes_messages_takes_whole_ids() -> None:
    with pytest.raises(UsageError, match="takes whole ids"):
        Selection(ids=["…aaaa57"]).filters()
    assert Selection(ids=[A]).filters() == Filters(ids=(A,))
    with pytest.raises(UsageError, match="takes whole ids"):
        Selection(group="9856f5").filters()
    assert Selection(group="9856F53E").filters() == Filters(group="9856f53e")


def complete(function: Any, incomplete: str, environment: Environment, **given: str) -> list[str]:
    params = {"project_dir": str(environment.root), **given}
    return list(function(SimpleNamespace(params=params), incomplete))


def test_a_shell_completes_values_from_files_alone(environment: Environment) -> None:
    shown.remember(environment, [Shown(A, status="dead", type="late.type"), Shown(B), Shown("1-trace", "trace")])
    assert complete(completion.environments, "", environment) == ["dev", "local", "prod", "staging"]
    assert complete(completion.types, "", environment) == ["late.type", "order.created", "user.gone"]
    assert complete(completion.event_ids, A[:8], environment) == [A, B]
    assert complete(completion.dead_ids, "", environment) == [A]
    assert complete(completion.trace_ids, "1-", environment) == ["1-trace"]
    assert complete(completion.event_ids, "", environment, env="prod") == []
    assert completion.statuses("d") == ["dead"]
    assert completion.functions("w") == ["worker"]
    assert completion.alarms("dlq") == ["dlq-messages"]
    assert completion.levels("WARN") == ["WARNING"]


RUNS = (
    r"evil$(touch${IFS}ran)",
    "evil`touch${IFS}ran`",
    r"evil\$(touch${IFS}ran)",
    "a touch ran",
    "a\ntouch ran",
    "a;touch",
)
EXPANDS = (
    "a|b",
    "a&b",
    "a>ran",
    "'a",
    'a"',
    "*",
    "a?",
    "[a]",
    "{a,b}",
    "~root",
    "=ls",
    "#a",
    "!a",
    "%a",
    "(a)",
    "a\tb",
)
HOSTILE = (*RUNS, *EXPANDS, "--yes", "-e", "a\u202eb", "a\u200b")


def test_what_a_shell_would_run_or_expand_is_not_offered(environment: Environment) -> None:
    harmless = ["order-17", "a.b:c/d@e+f=g", "Bestellung_ä", "訂單"]
    shown.remember(environment, [Shown(i, status="dead", type=i) for i in (*HOSTILE, *harmless)])
    assert complete(completion.event_ids, "", environment) == harmless
    assert complete(completion.dead_ids, "", environment) == harmless
    assert complete(completion.trace_ids, "", environment) == harmless
    assert complete(completion.types, "evil", environment) == []
    assert complete(completion.types, "-", environment) == []


def test_a_hostile_id_does_not_run_by_tab_and_enter(environment: Environment, tmp_path: Path) -> None:
    shown.remember(environment, [Shown(i) for i in HOSTILE])
    rtp = Path(sys.executable).with_name("rtp")
    script = """
    eval "$("$RTP" --show-completion bash)"
    for start in "" evil a "'"; do
        COMP_WORDS=(rtp show -C "$PROJECT" "$start") COMP_CWORD=4
        _rtp_completion "$RTP"
        eval ": ${COMPREPLY[*]}"
        printf '%s;' "${COMPREPLY[@]}"
    done"""
    env = {"RTP": str(rtp), "PROJECT": str(environment.root), "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    run = subprocess.run(["bash", "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (tmp_path / "ran").exists() is False
    assert run.stdout.strip(";") == "", run


INVISIBLE = [
    "x$(touch y)",
    "--yes",
    "=ls",
    "~root",
    "a b",
    "a\nb",
    "a\x1b[2J",
    "a\u3164",
    "a\u115f",
    "a\u202eb",
    "a;b",
    "*",
    "`id`",
]


def test_a_shell_gets_no_value_that_it_would_run_or_that_shows_nothing(environment: Environment) -> None:
    shown.remember(
        environment, [*(Shown(text, type=text, status="dead") for text in INVISIBLE), Shown("ä-1", type="b.c")]
    )
    assert complete(completion.event_ids, "", environment) == ["ä-1"]
    assert complete(completion.dead_ids, "", environment) == []
    assert not set(complete(completion.types, "", environment)) & set(INVISIBLE)


def test_a_broken_project_completes_nothing_and_shows_no_error(environment: Environment) -> None:
    (environment.root / "rtp.toml").write_text("[[[")
    for function in (completion.environments, completion.types, completion.event_ids):
        assert complete(function, "", environment) == []


def test_the_shell_gets_values_from_the_command_itself(
    environment: Environment, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rtp import cli

    monkeypatch.chdir(environment.root)
    monkeypatch.setenv("_RTP_COMPLETE", "complete_bash")
    monkeypatch.setitem(sys.modules, "rich", None)  # rtp does so itself; other tests of this process need rich
    for words, expected in (("rtp records -e ", "staging"), ("rtp records --status ", "dead"), ("rtp show ", A)):
        shown.remember(resolve(Overrides(), environ={}), [Shown(A)])
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
        with pytest.raises(SystemExit):
            cli.main([])
        assert expected in capsys.readouterr().out.split()
