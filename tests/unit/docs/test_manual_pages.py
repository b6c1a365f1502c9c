"""The pages: each is in the manual, names commands and options that exist, and links to what exists."""

from __future__ import annotations

import itertools
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import typer
from typer.main import get_command

from rtp import cli
from rtp.contract import Alarm
from rtp.ops import manual
from tests import manual_blocks
from tests.manual_blocks import ROOT, Command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCS = ROOT / "docs"
PAGES = [
    *sorted(DOCS.glob("*.md")), *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG"))
]  # fmt: skip
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
# Pages about earlier or other programs, or whose spans are patterns and not commands.
WITH_OLD_NAMES = {"CHANGELOG.md", "docs/architecture.md", "CONTRIBUTING.md"}
_LINK = re.compile(r"(?<!!)\[[^\]\[]*\]\((?P<target>[^)\s]+)\)")
_IMAGE = re.compile(r'!\[[^\]]*\]\((?P<target>[^)\s]+)\)|(?:src|srcset)="(?P<source>[^"]+)"')
_SPAN = re.compile(r"(?<!`)`(?P<code>rtp [^`]+)`(?!`)")
_FENCED = re.compile(r"^```.*?^```[ \t]*$", re.MULTILINE | re.DOTALL)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def root_command() -> Any:
    return get_command(cli.app)


def resolved(words: list[str]) -> tuple[Any, str, list[str]]:
    """The command that words name, its path, and the rest of the words. Raises UsageError of the parser."""
    root = root_command()
    context = root.context_class(root, info_name="rtp")
    command, path, rest = root, "rtp", words
    while rest and getattr(command, "commands", None) and not rest[0].startswith("-"):
        name, command, rest = command.resolve_command(context, rest)
        path = f"{path} {name}"
        context = command.context_class(command, info_name=name, parent=context)
    return command, path, rest


def parse(words: list[str]) -> None:
    """Parse a command line as rtp does, without running it. Raises the parser's error."""
    command, path, rest = resolved(cli._with_project_last(words))
    command.make_context(path, list(rest), parent=None)


def commands() -> Iterator[tuple[str, Command]]:
    for name in NAMES:
        for block in manual_blocks.blocks(ROOT / name):
            if isinstance(block, Command) and block.line.startswith("rtp "):
                yield name, block


def test_every_command_of_every_console_block_is_parsed() -> None:
    wrong = []
    for name, command in commands():
        try:
            parse(command.words[1:])
        except typer.TyperException as error:
            wrong.append(f"{name}: {command.line}: {error.format_message()}")
        except SystemExit:
            pass
    assert wrong == []


@pytest.mark.parametrize("name", sorted(set(NAMES) - WITH_OLD_NAMES))
def test_every_command_that_a_text_names_exists_with_its_options(name: str) -> None:
    wrong = []
    for span in _SPAN.finditer(_FENCED.sub("", text_of(name))):
        words = list(itertools.takewhile(lambda word: word != "--", re.split(r"[\s|]+", span["code"])[1:]))
        names = list(itertools.takewhile(lambda word: re.fullmatch(r"[a-z][a-z-]*", word), words))
        words = [*names, *(word for word in words[len(names) :] if word.startswith("-"))]
        if not names:
            continue
        try:
            command, _, rest = resolved(words)
        except typer.TyperException as error:
            wrong.append(f"{span['code']}: {error.format_message()}")
            continue
        context = command.context_class(command, info_name="rtp")
        known = {option for parameter in command.get_params(context) for option in parameter.opts}
        known |= {option for parameter in command.get_params(context) for option in parameter.secondary_opts}
        used = [word.split("=")[0].rstrip(",") for word in rest if re.match(r"--?[a-zA-Z]", word)]
        wrong += [f"{span['code']}: {option}" for option in used if option not in known]
    assert wrong == []


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#{1,6} (.+)$", _FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name: str) -> None:
    page, text = ROOT / name, _FENCED.sub("", text_of(name))
    targets = [match["target"] for match in _LINK.finditer(text)]
    targets += [match["target"] or match["source"] for match in _IMAGE.finditer(text)]
    wrong = []
    for target in targets:
        path, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            wrong.append(target)
    assert wrong == []


def test_the_manual_lists_every_page_and_no_other() -> None:
    assert set(manual.PAGES) == {page.stem for page in DOCS.glob("*.md")}


def test_the_manual_has_each_kind_of_page() -> None:
    """A way in, how-tos of what operators do, explanations, and references."""
    names = set(manual.PAGES)
    assert {"tutorial", "first-deploy", "your-code", "production", "ci", "incident", "load", "upgrading"} <= names
    assert {"moving", "promises", "security", "parts", "troubleshooting", "commands", "settings", "json"} <= names
    assert "What rtp is not" in text_of("docs/parts.md")


def test_the_runbook_has_a_section_for_each_alarm() -> None:
    sections = re.findall(r"^### (.+)$", text_of("docs/incident.md"), re.MULTILINE)
    names = {name for section in sections for name in re.findall(r"`([a-z0-9-]+)`", section)}
    assert {alarm.value for alarm in Alarm} | {"rollout-errors", "rollout-duration"} == names


def test_pages_name_no_place_for_output_that_cannot_be_checked() -> None:
    """Output below a command has text that is compared, so that it cannot be made up."""
    empty = [f"{n}: {c.line}" for n, c in commands() if c.output and not any(o.strip("… ") for o in c.output)]
    assert empty == []
