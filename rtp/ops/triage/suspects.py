"""The commits between the last good release and the first one that failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.ops import commits
from rtp.ops.stack.apply import kept

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.aws import Aws
    from rtp.config import Environment
    from rtp.ops.commits import Commit


@dataclass(frozen=True, slots=True)
class Suspects:
    """The commits that may have brought a group of failures.

    good, bad: the release before the first failure, and the one that failed first; empty where not known.
    commits: between them, of the project's code and settings, the newest first. notes: what is not known.
    """

    good: str
    bad: str
    commits: list[Commit]
    notes: list[str]


def read(aws: Aws, environment: Environment, release: str) -> Suspects:
    """Find the commits. release: of the first failure; empty where not known. Raises AwsError."""
    every = kept.listed(aws, environment)
    bad = next((each for each in every if each.release == release), None) if release else None
    if bad is None:
        note = "The release of the first failure is not one of the last ten, so its commit is not known."
        return Suspects("", release, [], [note])
    good = next((each for each in every if each.release == bad.before), None)
    if good is None:
        return Suspects("", bad.label, [], [f"What ran before {bad.label} is not known."])
    notes = [
        f"{each.label} was deployed with changes that are in no commit."
        for each in (bad, good)
        if each.commit.endswith(commits.DIRTY)
    ]
    if without := [each.label for each in (good, bad) if not each.commit]:
        return Suspects(good.label, bad.label, [], [f"No commit is known of {' and '.join(without)}."])
    found = commits.between(environment.root, good.commit, bad.commit, _paths(environment))
    if found is None:
        names = f"{good.commit[:12]} and {bad.commit[:12]}"
        notes.append(f"This folder's repository does not have {names}; fetch them.")
    return Suspects(good.label, bad.label, found or [], notes)


def _paths(environment: Environment) -> list[Path]:
    """The files and folders of which a deploy is made."""
    chosen = (environment.processors, environment.file, environment.requirements, environment.extend)
    return [path for path in chosen if path is not None]
