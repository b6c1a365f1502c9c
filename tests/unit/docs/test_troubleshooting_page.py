"""docs/troubleshooting.md has an entry for each error code of the program, with its exit code, and no other."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from rtp import errors
from rtp.ops import manual
from tests import trees

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = trees.READS_ALL
RTP = Path(__file__).parents[3] / "rtp"
CODE = re.compile(r"[a-z]+(-[a-z]+)*")
CLASSES = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.RtpError)
}


@cache
def codes() -> list[tuple[str, int | None, str]]:
    return list(_codes())


def _codes() -> Iterator[tuple[str, int | None, str]]:
    """Each code of the program, the exit code of its class where the call names one, and where it is."""
    for path in sorted(RTP.rglob("*.py")):
        for node in trees.nodes(path):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).rpartition(".")[2]
                kind = CLASSES.get(name)
                for value in [keyword.value for keyword in node.keywords if keyword.arg == "code"]:
                    for constant in [each for each in ast.walk(value) if isinstance(each, ast.Constant)]:
                        is_code = isinstance(constant.value, str) and CODE.fullmatch(constant.value)
                        if is_code and (name.endswith("Error") or name == "type"):
                            yield (
                                str(constant.value),
                                int(kind.exit_code) if kind else None,
                                f"{path.name}:{node.lineno}",
                            )
    for kind in CLASSES.values():
        yield kind.default_code, int(kind.exit_code), "errors.py"


def test_every_code_has_an_entry_and_every_entry_a_code() -> None:
    in_code = {code: where for code, _, where in codes()} | {"deploy-failed": "execute.py"}
    entries = manual.error_codes()
    without = {code: where for code, where in in_code.items() if code not in entries}
    assert without == {}, "add an entry to docs/troubleshooting.md"
    assert set(entries) - set(in_code) == set()
    assert len(entries) == len(set(entries))


def test_every_entry_names_the_exit_codes_of_its_code() -> None:
    for code, exit_code, where in codes():
        entry = manual.error_entry(code) or ""
        named = {int(number) for number in re.findall(r"[Ee]xit code (\d)", entry)}
        assert exit_code is None or exit_code in named, f"{code}: {where} exits with {exit_code}"


def test_an_entry_has_a_message_an_exit_code_and_what_to_do() -> None:
    wrong = []
    for code in manual.error_codes():
        entry = manual.error_entry(code)
        if entry is None or not re.fullmatch(r"### `[a-z-]+`\n\n> \S.*\n\nExit code \d\. \S.*\n", entry):
            wrong.append(code)
    assert wrong == []


# Their messages are AWS's, Typer's, of the user's own code, or of many kinds.
OTHERS_MESSAGES = {"access-denied", "aws", "extension", "failed", "not-found", "timed-out", "usage", "deploy-failed"}


@cache
def texts() -> str:
    """Every text of the program, with `…` for what it computes."""
    found = []
    for path in RTP.rglob("*.py"):
        for node in trees.nodes(path):
            if isinstance(node, ast.JoinedStr):
                parts = [each.value if isinstance(each, ast.Constant) else "…" for each in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def test_the_message_of_an_entry_is_one_of_the_program() -> None:
    """Each piece between `…`, so that who searches for a message finds its entry."""
    wrong = []
    for code in set(manual.error_codes()) - OTHERS_MESSAGES:
        message = re.search(r"^> (.*)$", manual.error_entry(code) or "", re.MULTILINE)
        assert message is not None
        pieces = [piece.strip(" .:;,()") for piece in re.split("…|, or: ", message[1])]
        wrong += [f"{code}: {piece}" for piece in pieces if len(piece) > 5 and piece not in texts()]
    assert wrong == []
