"""The pages of the manual: docs/*.md, which the wheel has as rtp/pages."""

from __future__ import annotations

import difflib
import re
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from rtp.errors import UsageError

PACKAGE = Path(__file__).parents[1]
_TROUBLESHOOTING = "troubleshooting"
_TYPO = 0.8  # likeness from which a word is taken for a mistyped page
_CODE = re.compile(r"^### `([a-z-]+)`$", re.MULTILINE)


class Kind(StrEnum):
    """What a page is for, by Diátaxis: to learn, to do, to understand, to look up."""

    TUTORIAL = "Tutorial"
    HOW_TO = "How to"
    EXPLANATION = "Explanation"
    REFERENCE = "Reference"


class Page(NamedTuple):
    """A page of the manual. Its topic is the name of its file without `.md`."""

    kind: Kind
    summary: str


PAGES = {
    "tutorial": Page(Kind.TUTORIAL, "Ten minutes: from an empty folder to a repaired event, on this machine"),
    "first-deploy": Page(Kind.HOW_TO, "Deploy to an AWS account for the first time"),
    "your-code": Page(Kind.HOW_TO, "Use your own packages, files, variables, secrets and resources"),
    "processors": Page(Kind.HOW_TO, "Write processors: data, results, errors, secrets, permissions, tests"),
    "production": Page(Kind.HOW_TO, "Choose the settings of a production environment"),
    "ci": Page(Kind.HOW_TO, "Check and deploy from GitHub Actions or GitLab"),
    "incident": Page(Kind.HOW_TO, "Handle an incident, from the alarm to the proof that nothing is lost"),
    "alerts": Page(Kind.HOW_TO, "Get the cause, the release and the command by mail or chat when events die"),
    "rehearse": Page(Kind.HOW_TO, "Prove a correction on real events before it is deployed"),
    "drill": Page(Kind.HOW_TO, "Inject a fault on purpose, and see which alarms fire and what becomes of each event"),
    "load": Page(Kind.HOW_TO, "Test a pipeline under load"),
    "upgrading": Page(Kind.HOW_TO, "Upgrade rtp, roll back, move and remove a pipeline"),
    "moving": Page(Kind.HOW_TO, "Move a pipeline of SAM or the CDK over to rtp"),
    "promises": Page(Kind.EXPLANATION, "What rtp promises, and what happens to an event when AWS fails"),
    "parts": Page(Kind.EXPLANATION, "Why each part of the stack is there, and what rtp is not"),
    "security": Page(Kind.EXPLANATION, "What is trusted, who may send, what is not protected"),
    "destroying": Page(Kind.EXPLANATION, "What a drain does before a stack is deleted"),
    "traces": Page(Kind.EXPLANATION, "What X-Ray records, and how an event is found in two traces"),
    "scale": Page(Kind.EXPLANATION, "Limits, cost and settings at 100 to 100,000 events a second"),
    "cost": Page(Kind.EXPLANATION, "What a million events cost"),
    "benchmarks": Page(Kind.EXPLANATION, "Time, growth and memory beside other tools, by `make bench`"),
    "proof": Page(Kind.EXPLANATION, "Measurements of reliability and performance"),
    "verified": Page(Kind.EXPLANATION, "What was verified on AWS, and what only on the local engine"),
    "architecture": Page(Kind.EXPLANATION, "The map of the code, and the glossary"),
    "troubleshooting": Page(Kind.REFERENCE, "Every error code, what it means and what to do"),
    "commands": Page(Kind.REFERENCE, "Commands and options"),
    "settings": Page(Kind.REFERENCE, "Settings of rtp.toml"),
    "json": Page(Kind.REFERENCE, "What commands print with --json"),
    "exit-codes": Page(Kind.REFERENCE, "Exit codes, and what commands refuse"),
    "records": Page(Kind.REFERENCE, "Records, archive, messages and log lines"),
    "local": Page(Kind.REFERENCE, "The local engine, and how it differs from AWS"),
    "installing": Page(Kind.REFERENCE, "Installers, environments and sizes"),
    "packages": Page(Kind.REFERENCE, "Common packages on both architectures"),
    "patches": Page(Kind.REFERENCE, "What rtp corrects in the local engine"),
    "fast-paths": Page(Kind.REFERENCE, "Shortcuts, and the switch that turns them off"),
}


def folder() -> Path:
    """The folder of the pages: in the package where rtp is installed, docs/ in a working copy."""
    packaged = PACKAGE / "pages"
    return packaged if packaged.is_dir() else PACKAGE.parent / "docs"


def text(topic: str) -> str:
    """The Markdown of a page, or of the entry of an error code. Raises UsageError."""
    if topic in PAGES:
        return _read(topic)
    entry = error_entry(topic)
    if entry is not None:
        return entry
    near = difflib.get_close_matches(topic, [*PAGES, *error_codes()], n=1)
    suggestion = f" Did you mean {near[0]!r}?" if near else ""
    raise UsageError(
        f"The manual has no page {topic!r}, no error has this code, and no page has these words.{suggestion}",
        hint="`rtp docs` lists the pages.",
    )


def is_entry(topic: str) -> bool:
    """Whether a topic is a page, an error code, or nearly the name of a page."""
    is_typo = bool(difflib.get_close_matches(topic, PAGES, n=1, cutoff=_TYPO))
    return topic in PAGES or is_typo or topic in error_codes()


def error_codes() -> list[str]:
    """The error codes that the manual explains."""
    return _CODE.findall(_read(_TROUBLESHOOTING))


def error_entry(code: str) -> str | None:
    """The Markdown of the entry of an error code; None without one."""
    page = _read(_TROUBLESHOOTING)
    start = next((match.start() for match in _CODE.finditer(page) if match[1] == code), None)
    if start is None:
        return None
    end = re.compile(r"^#{1,3} ", re.MULTILINE).search(page, start + 1)
    return page[start : end.start() if end else None].strip() + "\n"


def _read(topic: str) -> str:
    return (folder() / f"{topic}.md").read_text(encoding="utf-8")
