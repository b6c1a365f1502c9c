"""Commands that rtp suggests can be pasted, whatever their values: they do what was printed, and nothing else."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtp import cli
from rtp.aws import Aws
from rtp.aws.failures import translated
from rtp.aws.leases import Holder
from rtp.aws.queues import Message
from rtp.commands import init, local
from rtp.commands.render import dlq as render_dlq
from rtp.commands.render import sent as render_sent
from rtp.commands.render import story as render_story
from rtp.commands.render import story_page as render_story_page
from rtp.errors import RefusedError, RtpError
from rtp.ops import scaffold
from rtp.ops.access import lease
from rtp.ops.causes import Cause
from rtp.ops.dlq.inspect import Inspection
from rtp.ops.dlq.messages import DlqMessage
from rtp.ops.events.sent import Sent
from rtp.ops.events.summary import Summary
from rtp.ops.telemetry.story import Story
from rtp.runtime.event import Identity
from rtp.terminal.output import Output
from rtp.text import suggest
from rtp.text.elements import advice, command, line, next_step
from tests.shells import HOSTILE, OMITTED
from tests.unit.cli.test_output import Terminal

if TYPE_CHECKING:
    from rtp.text.elements import Element
    from tests.shells import Shell

_CODES = re.compile(r"\x1b\[[0-9;]*m")
VALUES = pytest.mark.parametrize("value", [pytest.param(v, id=k) for k, v in HOSTILE.items()])


def safe(value: str) -> bool:
    return all(HOSTILE[name] != value for name in OMITTED)


@VALUES
def test_a_pasted_command_gets_exactly_the_values_or_is_omitted(shell: Shell, value: str) -> None:
    # Given a command with the value in every place that it may have
    suggested = suggest.command("rtp", "dlq", "redrive", id=value, type=[value, "x"], yes=True, values=(value, "last"))
    # When it is pasted / Then the program has the value, and nothing else has run
    if safe(value):
        assert suggested is not None and "\n" not in suggested
        end = ["--"] if value.startswith("-") else []
        words = ["rtp", "dlq", "redrive", f"--id={value}", f"--type={value}", "--type=x", "--yes", *end, value, "last"]
        assert shell.paste(suggested) == [words]
        # And also where a comment or another command follows
        assert shell.paste(f"{suggested}  # it's over") == [words]
    else:
        assert suggested is None


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@VALUES
def test_an_interactive_bash_expands_no_history_in_it(shell: Shell, value: str) -> None:
    suggested = suggest.command("rtp", "show", id=value, values=(value,))
    if suggested is not None:
        before = "rtp before"  # what a history expansion would take
        ran = shell.paste(f"{before}\n{suggested}", "bash", "--norc", "-i")
        end = ["--"] if value.startswith("-") else []
        assert ran == [["rtp", "before"], ["rtp", "show", f"--id={value}", *end, value]]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(max_size=40) | st.text("'\"\\`$!~*?[]{}()<>|&;#=-% \t\n\xa0a", max_size=20))
def test_any_text_is_passed_exactly_or_omitted(shell: Shell, value: str) -> None:
    suggested = suggest.command("rtp", "show", id=value)
    if suggested is not None:
        assert shell.paste(suggested) == [["rtp", "show", f"--id={value}"]]


@VALUES
def test_a_folder_is_a_folder_whatever_its_name(shell: Shell, value: str) -> None:
    suggested = suggest.command("rm", "-r", values=(Path(value),))
    assert (suggested is None) != safe(value)
    if suggested is not None:
        name = str(Path(value))
        assert shell.paste(suggested) == [["rm", "-r", f"./{name}" if name.startswith("-") else name]]


@VALUES
def test_a_variable_that_is_exported_has_its_value(shell: Shell, value: str) -> None:
    suggested = suggest.assignment("GIVEN", value)
    assert (suggested is None) != safe(value)
    if suggested is not None:
        assert shell.paste(f'{suggested}; rtp "$GIVEN"') == [["rtp", value]]


def test_options_are_written_or_omitted() -> None:
    suggested = suggest.command("rtp", "dlq", "redrive", id=None, edit=False, wait=True, limit=5, dry_run=True)
    assert suggested == "rtp dlq redrive --wait --limit=5 --dry-run"
    assert suggest.option("confirm", "shop-dev") == "--confirm=shop-dev"
    assert suggest.option("confirm", "a\nb") is None


def test_a_sentence_without_its_command_is_another_one() -> None:
    suggested = suggest.command("rtp", "show", values=("a b",))
    assert suggest.sentence("See {}.", suggested) == "See `rtp show 'a b'`."
    assert suggest.sentence("See {}.", None, otherwise="Look.") == "Look."
    # A command with a backtick in it would end before its end
    assert suggest.sentence("See {}.", suggest.command("rtp", "show", values=("`",)), otherwise="Look.") == "Look."
    # A command is not a template itself
    assert suggest.sentence("{}", suggest.command("rtp", "show", values=("{}",))) == "`rtp show '{}'`"


@VALUES
@pytest.mark.parametrize("tty", [False, True])
def test_a_command_is_one_line_with_the_place_options_of_this_run(shell: Shell, value: str, tty: bool) -> None:
    # Given a run whose profile is hostile too, and a terminal that is narrower than any command
    stream = Terminal() if tty else io.StringIO()
    out = Output(stdout=stream, stderr=io.StringIO(), where={"env": "prod", "profile": value or None, "region": None})
    # When it suggests a command
    out.show(next_step("next  ", suggest.command("rtp", "show", values=(value,)), "it's its story"))
    shown = stream.getvalue()
    # Then the pasted line does what it says, in the same place
    if not safe(value):
        assert shown == ""
        return
    row, *remarks = _CODES.sub("", shown).splitlines()
    assert all(remark.startswith("      # ") for remark in remarks)
    (words,) = shell.paste("\n".join([row.removeprefix("next  "), *remarks]))
    place = ["--env=prod", *([f"--profile={value}"] if value else [])]
    assert words == ["rtp", "show", *place, *(["--"] if value.startswith("-") else []), value]


@VALUES
def test_a_hint_has_the_place_options_or_placeholders(shell: Shell, value: str) -> None:
    err = io.StringIO()
    Output(stderr=err, where={"profile": value}).error(RtpError("It broke.", hint="Run `rtp dlq undo`, then wait."))
    (pasted,) = re.findall(r"`([^`]*)`", err.getvalue())
    (words,) = shell.paste(pasted)
    usable = safe(value) and "`" not in value
    place = [f"--profile={value if usable else 'PROFILE'}"] if value else []
    assert words == ["rtp", "dlq", "undo", *place]


def test_the_place_options_follow_the_command_and_precede_its_values() -> None:
    for path, takes_place in leaves():
        shown = suggest.placed(f"`rtp {path} aaa`", {"env": "prod"})
        assert shown == (f"`rtp {path} --env=prod aaa`" if takes_place else f"`rtp {path} aaa`")


def leaves() -> list[tuple[str, bool]]:
    """Every command, and whether --env selects what it acts on; `rtp local` acts on the engine of a folder."""
    found = []
    for name in cli.COMMANDS:
        top = cli.load(name)
        below = getattr(top, "commands", None)
        for path, each in [(f"{name} {n}", c) for n, c in below.items()] if below else [(name, top)]:
            found.append((path, "env" in {p.name for p in each.params} and name != "local"))
    assert len(found) > 25
    return found


def test_a_value_that_looks_like_a_place_option_is_not_one() -> None:
    assert suggest.placed("`rtp show -- --env=x`", {"env": "prod"}) == "`rtp show --env=prod -- --env=x`"
    assert suggest.placed("`rtp dlq redrive --id='x --env=y'`", {"env": "prod"}) == (
        "`rtp dlq redrive --env=prod --id='x --env=y'`"
    )
    assert suggest.placed("`rtp show --env=dev x`", {"env": "prod"}) == "`rtp show --env=dev x`"


def dead(value: str) -> DlqMessage:
    message = Message("m-1", "receipt", "{}", {}, 1_700_000_000_000, 1)
    return DlqMessage(
        "m-1", value, value, "{}", 2, "2026-01-01T00:00:00Z", Cause(value, value), value,
        1, "{}", "queue", Identity(value, 1), message,
    )  # fmt: skip


def stories(value: str) -> list[Story]:
    def record(status: str) -> dict[str, Any]:
        error = {"type": value, "message": value}
        return {"id": value, "timestamp": 1, "type": value, "status": status, "error": error}

    return [
        Story(value, records=[record("dead")]),
        Story(value, records=[record("failed")]),
        Story(value, records=[record("processing")]),
        Story(value, records=[record("dead")], dlq_message=dead(value)),
    ]


def sent(value: str) -> Summary:
    suggested = Summary(1)
    suggested.add(Sent(value, 1, "accepted", 202, value, 1.0, value))
    return suggested


def lines(elements: list[Element]) -> list[str]:
    """Of each line with a command, the text from the command on."""
    stream = io.StringIO()
    Output(stdout=stream, stderr=stream).show(elements)
    return [m[1] for m in re.finditer(r"^(?:  )?next +(.*)$", stream.getvalue(), re.M)]


@VALUES
def test_the_next_step_of_an_event_can_be_pasted(shell: Shell, value: str) -> None:
    # Given all renderings of an event: dead, failed, being processed, sent, and as a DLQ message
    end = ["--"] if value.startswith("-") else []
    show = ["rtp", "show", *end, value]
    expected = [
        *zip(
            [render_story.story(story, width=80) for story in stories(value)],
            [["rtp", "replay", f"--id={value}"], show, show, ["rtp", "dlq", "redrive", f"--id={value}"]],
            strict=True,
        ),
        (render_sent.summary(sent(value)), show),
        (render_dlq.inspection(Inspection("q", 1, [dead(value)], [])), show),
        (render_dlq.inspection(Inspection("q", 2, [dead(value), dead(value)], [])), show),
    ]
    # When the rest of the line is pasted / Then the command has the id, or there was no such line
    for elements, words in expected:
        assert [shell.paste(each) for each in lines(elements)] == ([[words]] if safe(value) else [])


@VALUES
def test_a_page_suggests_no_command_that_runs_something_else(value: str) -> None:
    for story in stories(value):
        assert "rtp show" not in (page := render_story_page.page(story)) and "rtp dlq" not in page


def quoted(text: str) -> list[str]:
    """The texts between backticks."""
    return re.findall(r"`([^`]*)`", text)


@VALUES
def test_the_hint_for_a_profile_names_it_or_is_omitted(shell: Shell, value: str) -> None:
    from botocore import exceptions as b

    expired = b.ClientError({"Error": {"Code": "ExpiredToken", "Message": value}}, "SendMessage")
    for error in (expired, b.NoCredentialsError(), b.UnauthorizedSSOTokenError()):
        with (
            pytest.raises(RtpError) as found,
            translated(Aws(region="us-east-1", profile=value), "sqs", "send_message"),
        ):
            raise error
        ran = [shell.paste(each) for each in quoted(found.value.hint) if each != "--env local"]
        profile = [f"--profile={value}"] if value else []
        assert ran == ([[["aws", "sso", "login", *profile]]] if safe(value) and "`" not in value else [])


@VALUES
def test_the_name_to_confirm_is_suggested_as_an_option(shell: Shell, value: str) -> None:
    with pytest.raises(RefusedError) as refused:
        Output(stdin=io.StringIO(), stderr=io.StringIO()).confirm_name("Delete it?", value, given=None)
    ran = [shell.paste(f"rtp {each}") for each in quoted(refused.value.hint)]
    assert ran == ([[["rtp", f"--confirm={value}"]]] if safe(value) and "`" not in value else [])


@VALUES
def test_the_command_of_another_operator_is_one_that_rtp_has(value: str) -> None:
    assert quoted(lease.described(Holder("t", "ann", "host", 7, f"dlq {value}", 1, 2))) == ["rtp"]
    assert quoted(lease.described(Holder("t", "ann", "host", 7, "dlq redrive", 1, 2))) == ["rtp dlq redrive"]


@VALUES
def test_a_new_project_suggests_how_to_enter_its_folder(shell: Shell, value: str, tmp_path: Path) -> None:
    stream = io.StringIO()
    Output(stdout=stream).show(init._render(scaffold.Scaffold(tmp_path, "shop", [], []), Path(value)))
    steps = stream.getvalue().partition("Next\n")[2].splitlines()
    if not safe(value) or not value:
        assert [step.split()[0] for step in steps] == ["rtp"] * 2
        return
    folder = str(Path(value))
    there = f"./{folder}" if folder.startswith("-") else folder
    assert shell.paste('cd() { rtp "$@"; }\n' + steps[0]) == [["rtp", there]]


@VALUES
def test_evaluating_the_environment_sets_variables_and_runs_nothing(shell: Shell, value: str) -> None:
    variables = {"AWS_ENDPOINT_URL": value, "AWS_REGION": "us-east-1"}
    if not safe(value):
        with pytest.raises(RtpError):
            local._render_exports(variables)
        return
    stream = io.StringIO()
    Output(stdout=stream).show(local._render_exports(variables))
    assert shell.paste(f'{stream.getvalue()}rtp "$AWS_ENDPOINT_URL" "$AWS_REGION"') == [["rtp", value, "us-east-1"]]


def test_a_terminal_that_cannot_print_a_value_gets_no_altered_command() -> None:
    latin = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    out = Output(stdout=latin, stderr=latin)
    out.show([*next_step("next  ", suggest.command("rtp", "show", values=("a…b",))), line("a…b"), "the end"])
    out.error(RtpError("It broke.", hint=suggest.sentence("See {}.", suggest.command("rtp", "show", values=("·",)))))
    latin.seek(0)
    assert latin.read() == "a...b\nthe end\nerror: It broke.\n"


def test_a_redrawn_region_splits_no_command() -> None:
    # Given a narrow terminal, and a problem with a command in its middle, one at the end, one that is too long
    stream = Terminal()
    out = Output(stdout=stream, stderr=io.StringIO())
    suggested = suggest.command("rtp", "show", values=("some id",))
    long = suggest.command("rtp", "show", values=("some id " * 20,))
    assert suggested and long
    with out.live(data=True) as live:
        out._streams.console(stream).width = 40
        live.update(
            [
                line("  ✗ ", advice("the dead-letter queue has 12 messages; `rtp dlq inspect` shows why they died")),
                line("next  ", command(suggested), "  # a long remark that does not fit into the line either"),
                line("next  ", command(long), "  # the remark"),
                line("short ", command(suggested)),
            ]
        )
    rows = [row.strip() for row in _CODES.sub("", stream.getvalue()).splitlines()]
    # Then each command is whole in a line, and what did not fit is left out
    assert {"`rtp dlq inspect`", "rtp show 'some id'", "short rtp show 'some id'"} <= set(rows)
    assert not any("some id some" in row for row in rows)
