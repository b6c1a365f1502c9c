"""The code blocks of a page of the manual: files to write, and commands with what they print.

A block with `title="FILE"` is a file. A `console` block has commands after `$ `, each with lines of its output below
it, where `…` stands for any text. `# exit code N` after a command names one other than 0; `# on AWS`, or another
environment than the local one, marks a command for an account. ID stands for the id that the commands before have
printed last.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"^```(?P<language>\w*)(?P<rest>[^\n]*)\n(?P<text>.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')
_COMMENT = re.compile(r"\s+# (?P<text>.*)$")
_ENVIRONMENT = re.compile(r"(?:--env[= ]|-e )(?P<name>[\w-]+)")
_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b")  # UUIDv7, as `rtp send` makes
_RUN_HERE = ("rtp", "cd")


@dataclass(frozen=True, slots=True)
class File:
    """A file that the page shows. path: relative to the current folder."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command line. output: patterns of its output, in order. is_local: whether it is run without an AWS account."""

    line: str
    output: tuple[str, ...]
    exit_code: int
    is_local: bool

    @property
    def words(self) -> list[str]:
        """The words of the line, without redirections."""
        return shlex.split(re.sub(r"\s[<>|].*$", "", self.line))


def blocks(page: Path) -> Iterator[File | Command]:
    """The files and commands of a page, in order."""
    for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        if title := _TITLE.search(block["rest"]):
            yield File(title[1], block["text"])
        elif block["language"] == "console":
            yield from _commands(block["text"])


def _commands(text: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, *output = part.rstrip("\n").split("\n")
        *before, line = line.split(" && ")
        yield from _commands("".join(f"$ {each}\n" for each in before))
        comment = _COMMENT.search(line)
        remark = comment["text"] if comment else ""
        line = _COMMENT.sub("", line)
        environment = _ENVIRONMENT.search(line)
        is_elsewhere = remark == "on AWS" or (environment is not None and environment["name"] != "local")
        code = re.fullmatch(r"exit code (\d+)", remark)
        is_local = not is_elsewhere and line.split()[0] in _RUN_HERE
        yield Command(line, tuple(output), int(code[1]) if code else 0, is_local)


def last_id(text: str) -> str | None:
    """The last event id in a text; None without one."""
    ids = _ID.findall(text)
    return ids[-1] if ids else None


def matches(patterns: tuple[str, ...], output: str) -> bool:
    """Whether the output has the patterns' texts, in order. White space counts as one space, `…` as any text."""
    texts = [re.escape(" ".join(text.split())) for pattern in patterns for text in pattern.split("…") if text.strip()]
    return re.search(".*?".join(texts), " ".join(output.split()), re.DOTALL) is not None
