"""Earlier runs of a stack that no name is given for: the latest redrive or purge, and the killed redrives.

A journal that is damaged, or that another program wrote, is skipped as a whole: none of its messages is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.errors import ConfigError, RefusedError
from rtp.ops import run_marks
from rtp.ops.dlq import journal as journals
from rtp.ops.journal_store import Skipping
from rtp.ops.work import pool
from rtp.text import suggest, times

if TYPE_CHECKING:
    from rtp.errors import RtpError
    from rtp.ops.dlq.journal import Journal
    from rtp.ops.dlq.target import Target

_READERS = 16
_RECENT_RUNS = 20  # journals in which a redrive looks for messages that a killed one sent
_RECENT_MS = 12 * 3_600_000  # well below the shortest retention of the queue: what was sent since is not lost


def latest(target: Target, *, is_asked: bool) -> Journal:
    """The journal of the stack's latest run. is_asked: a person sees its name before anything is done with it.

    Raises NotFoundError; where there are journals and none can be used: ConfigError, or RefusedError for another
    stack's. ConfigError too where a newer one cannot be read and nobody is asked: it may be the run that is meant.
    """
    store, skipping = target.journals, Skipping(target.warn)
    foreign: RtpError | None = None
    for run in reversed(store.runs()):
        with skipping.journal(store, run):
            journal = journals.load_head(store, run)
            if journal is not None and not is_of(target, journal):
                error = of_another_stack(target, journal)
                foreign = foreign or error
                skipping.skip(error.message)
                continue
            if journal is not None and (journal := journals.read(store, run)) is not None:
                if skipping.error is not None and not is_asked:
                    break
                return journal
            skipping.skip(f"{store.where(run)} is not the journal of a redrive or purge.")
    else:
        raise foreign or skipping.error or journals.absent(store, "There is no redrive or purge to undo")
    raise ConfigError(
        f"The newest journal cannot be read, and {run} is the newest that can.",
        hint=suggest.sentence("To undo that run, {}.", suggest.command("rtp", "dlq", "undo", run=run)),
        code="unreadable-journal",
    )


def killed_redrives(target: Target) -> list[Journal]:
    """Recent redrives of this stack that did not end by themselves, with the entries that may be in both queues.

    Not those from before the queues went back to an earlier save: what they sent may not be in the queue.
    """
    store, skipping = target.journals, Skipping(target.warn)
    marks = store.marks()
    runs = [run for run in store.runs()[-_RECENT_RUNS:] if not run_marks.has_ended(marks.get(run, set()))]

    def read(run: str) -> Journal | None:
        with skipping.journal(store, run):
            head = journals.load_head(store, run)
            if head is not None and head.what == "redrive" and is_of(target, head) and _is_recent(target, head):
                return journals.read(store, run)  # with the texts of its messages
        return None

    found = [journal for journal in pool.map(read, runs, threads=_READERS) if journal is not None and not journal.ended]
    for journal in found:
        journal.entries = {i: e for i, e in journal.entries.items() if not (e.deleted or e.restored)}
    return found


def is_of(target: Target, journal: Journal) -> bool:
    """Whether a run was of this stack."""
    return (journal.stack, journal.account) == (target.stack, target.account)


def of_another_stack(target: Target, journal: Journal) -> RefusedError:
    """The error for a run of another stack."""
    return RefusedError(
        f"{journal.run} ran on {journal.stack} in account {journal.account}, "
        f"not on {target.stack} in {target.account}.",
        hint="Name that environment with --env.",
    )


def _is_recent(target: Target, head: Journal) -> bool:
    return times.now_ms() - head.started < _RECENT_MS and head.started > target.restored_ms
