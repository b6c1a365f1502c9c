"""Who is asked what before events are moved or deleted."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from rtp.commands import consent
from rtp.commands.consent import Approval, Impact
from rtp.commands.session import Session
from rtp.config import Environment, Overrides
from rtp.errors import RefusedError
from rtp.terminal.output import Output
from tests.unit.deploy.fakes import stack

if TYPE_CHECKING:
    from pathlib import Path

STACK = "shop-dev"
NOBODY, ASKED_YES, ASKED_NAME = "nobody", "y/N", "Type"


class Terminal(io.StringIO):
    """A person at a terminal, who answers with this line."""

    def isatty(self) -> bool:
        return True


class Account:
    """What the check of the account reads."""

    account = "111122223333"


def ask(
    root: Path,
    impact: Impact,
    *,
    protected: bool,
    terminal: bool,
    answer: str = "",
    approval: Approval | None = None,
    account: str | None = None,
    deployed: bool = False,
) -> str:
    """What was asked. deployed: whether the stack was deployed as protected. Raises RefusedError as a command would."""
    stderr = Terminal() if terminal else io.StringIO()
    stdin = Terminal(f"{answer}\n") if terminal else io.StringIO()
    session = Session(Overrides(), Output(stdin=stdin, stderr=stderr))
    environment = Environment(name="dev", project="shop", root=root, protected=protected, account=account)
    checked: list[str] = []
    state: dict[str, Any] = {"environment": environment, "aws": Account(), "recheck": lambda: checked.append("stack")}
    session.__dict__.update({**state, "_stack": stack(protected=deployed)})
    consent.ask(session, "Delete 3 messages", approval or Approval(), impact)
    assert checked == (["stack"] if terminal else [])  # a prompt may have waited for hours
    return stderr.getvalue()


@pytest.mark.parametrize(
    ("impact", "protected", "asked"),
    [
        (Impact.SELECTED, False, ""),
        (Impact.SELECTED, True, ASKED_YES),
        (Impact.MANY, False, ASKED_YES),
        (Impact.MANY, True, ASKED_NAME),
        (Impact.LASTING, False, ASKED_YES),
        (Impact.LASTING, True, ASKED_NAME),
    ],
)
def test_at_a_terminal(tmp_path: Path, impact: Impact, protected: bool, asked: str) -> None:
    answer = STACK if asked == ASKED_NAME else "y"
    prompt = ask(tmp_path, impact, protected=protected, terminal=True, answer=answer)
    assert asked in prompt
    assert prompt.startswith(f"Delete 3 messages in {STACK}?") if asked else not prompt
    # And a refusal is respected
    if asked:
        with pytest.raises(RefusedError, match="nothing was changed"):
            ask(tmp_path, impact, protected=protected, terminal=True, answer="n")


@pytest.mark.parametrize(
    ("impact", "protected", "refused"),
    [
        (Impact.SELECTED, False, ""),
        (Impact.SELECTED, True, "--yes"),
        (Impact.MANY, False, ""),
        (Impact.MANY, True, f"--confirm={STACK}"),
        (Impact.LASTING, False, "--yes"),
        (Impact.LASTING, True, f"--confirm={STACK}"),
    ],
)
def test_without_a_terminal(tmp_path: Path, impact: Impact, protected: bool, refused: str) -> None:
    if not refused:
        assert ask(tmp_path, impact, protected=protected, terminal=False) == ""
        return
    with pytest.raises(RefusedError) as caught:
        ask(tmp_path, impact, protected=protected, terminal=False)
    assert refused in caught.value.hint
    # And the option that is named consents
    approval = Approval(yes=True) if refused == "--yes" else Approval(confirm=STACK)
    assert ask(tmp_path, impact, protected=protected, terminal=False, approval=approval) == ""


@pytest.mark.parametrize("impact", [Impact.MANY, Impact.LASTING])
def test_yes_does_not_stand_for_a_protected_stacks_name(tmp_path: Path, impact: Impact) -> None:
    with pytest.raises(RefusedError):
        ask(tmp_path, impact, protected=True, terminal=False, approval=Approval(yes=True))


@pytest.mark.parametrize("impact", [Impact.MANY, Impact.LASTING])
def test_a_stack_that_was_deployed_as_protected_needs_its_name_whatever_rtp_toml_says(
    tmp_path: Path, impact: Impact
) -> None:
    how: dict[str, Any] = {"protected": False, "deployed": True, "terminal": False}
    with pytest.raises(RefusedError):
        ask(tmp_path, impact, **how, approval=Approval(yes=True))
    assert ask(tmp_path, impact, **how, approval=Approval(confirm=STACK)) == ""


@pytest.mark.parametrize("protected", [False, True])
@pytest.mark.parametrize("impact", list(Impact))
def test_another_stacks_name_is_refused_whatever_the_command_does(
    tmp_path: Path, impact: Impact, protected: bool
) -> None:
    with pytest.raises(RefusedError, match="'shop-prod' is not 'shop-dev'"):
        ask(
            tmp_path,
            impact,
            protected=protected,
            terminal=False,
            approval=Approval(yes=True, confirm="shop-prod"),
        )


@pytest.mark.parametrize("impact", list(Impact))
def test_another_account_is_refused_before_anything_is_asked(tmp_path: Path, impact: Impact) -> None:
    with pytest.raises(RefusedError) as caught:
        ask(tmp_path, impact, protected=False, terminal=True, answer="y", account="999999999999")
    assert caught.value.code == "wrong-account"


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize(
    ("impact", "protected", "options", "asked"),
    [
        (Impact.SELECTED, False, {}, False),
        (Impact.SELECTED, True, {}, True),
        (Impact.SELECTED, True, {"yes": True}, False),
        (Impact.MANY, False, {}, True),
        (Impact.MANY, False, {"yes": True}, False),
        (Impact.MANY, True, {"yes": True}, True),
        (Impact.MANY, True, {"confirm": STACK}, False),
        (Impact.LASTING, False, {}, True),
        (Impact.LASTING, False, {"yes": True}, False),
        (Impact.LASTING, True, {}, True),
        (Impact.LASTING, True, {"yes": True, "confirm": STACK}, False),
    ],
)
def test_a_question_is_counted_for_only_if_somebody_sees_it(
    tmp_path: Path, impact: Impact, protected: bool, options: dict[str, Any], asked: bool, terminal: bool
) -> None:
    stream = Terminal if terminal else io.StringIO
    session = Session(Overrides(), Output(stdin=stream(), stderr=stream()))
    session.__dict__["environment"] = Environment(name="dev", project="shop", root=tmp_path, protected=protected)
    session.__dict__["_stack"] = None
    assert consent.is_asked(session, Approval(**options), impact) is (asked and terminal)
