"""The words that rtp does not use: each has one plain term in its place (docs/architecture.md has the glossary)."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).relative_to(ROOT).as_posix()

# Word -> the term to use.
WORDS = {
    r"mend(s|ed|ing)?": "fix, repair, patch",
    r"told|tells?|telling": "reported, report, shown, show",
    r"letters?": "message, DLQ message",
    r"rang|rings?|ringing": "fired, fires",
    r"bury|buries|buried|burying": "move to the DLQ, mark dead",
    r"condemn\w*": "mark dead",
    r"fed|feeds?|feeding": "enabled, enable, send",
    r"stray(s|ed|ing)?": "orphan, missing",
    r"takebacks?": "rollback",
    r"recod(e|es|ed|ing)": "code change",
    r"gently": "graceful",
    r"wanted": "what it is: filters, requested, expected",
    r"anew": "again",
}
PATTERN = re.compile(rf"\b({'|'.join(WORDS)})\b", re.IGNORECASE)

# The field's own meaning of a word, or its use in a table of words to avoid.
ALLOWED = re.compile(
    r"dead[- _]?letter(ed|s|ing)?|letters?, digits|first a letter|[a-z]-case letters?|capital letters?|first letter"
    r"|letter or digit|letters and (marks|digits)|forty letters|(form|line) feeds?"
    r"|\| mend, remedy \||\| feed \||\| letter \||\| dead letter, corpse \||\| buried, condemned \|",
    re.IGNORECASE,
)


def words(text: str) -> list[str]:
    """The words of a text, or of a name in snake or camel case, that rtp does not use."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", ALLOWED.sub(" ", text))
    return [match.group() for match in PATTERN.finditer(re.sub(r"[_\W]+", " ", ALLOWED.sub(" ", spaced)))]


def tokens(path: Path) -> Iterator[tuple[int, str]]:
    """The names, comments and strings of a module, with their lines."""
    kinds = {tokenize.NAME, tokenize.COMMENT, tokenize.STRING}
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type in kinds:
            for number, line in enumerate(token.string.splitlines()):
                yield token.start[0] + number, line


def modules() -> list[Path]:
    return [path for folder in ("rtp", "bench", "checks", "docs") for path in (ROOT / folder).rglob("*.py")]


def pages() -> list[Path]:
    return [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def names_of_tests() -> Iterator[tuple[Path, int, str]]:
    """The names of tests, their classes and their files."""
    for path in (ROOT / "tests").rglob("*.py"):
        yield path, 0, path.stem
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if match := re.match(r"\s*(?:async )?(?:def|class) (\w+)", line):
                yield path, number, match[1]


def place(path: Path, line: int, text: str) -> str:
    return f"{path.relative_to(ROOT).as_posix()}:{line}: {', '.join(words(text))}: {text.strip()[:120]}"


def test_the_code_uses_the_terms() -> None:
    assert [place(p, n, text) for p in modules() for n, text in tokens(p) if words(text)] == []


def test_the_pages_use_the_terms() -> None:
    lines = ((p, n, line) for p in pages() for n, line in enumerate(p.read_text(encoding="utf-8").splitlines(), 1))
    assert [place(p, n, line) for p, n, line in lines if words(line)] == []


def test_the_names_of_tests_use_the_terms() -> None:
    assert [place(p, n, name) for p, n, name in names_of_tests() if p.name != Path(HERE).name and words(name)] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dead_letter", []),
        ("DeadLetterQueue", []),
        ("the dead-letter queue", []),
        ("its letters", ["letters"]),
        ("is_told", ["told"]),
        ("toldTime", ["told"]),
        ("recommend", []),
        ("strings", []),
        ("RINGS", ["RINGS"]),
    ],
)
def test_words_are_recognised(text: str, expected: list[str]) -> None:
    assert words(text) == expected
