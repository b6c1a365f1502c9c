"""`rtp deploy --watch` after its first deploy: deploy again, the short way, at each save."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.commands.recorded import recorded
from rtp.errors import RtpError
from rtp.text import times
from rtp.text.elements import Text, bad, dim, good, line, many, name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.commands.render.progress import Progress
    from rtp.commands.session import Session
    from rtp.config import Environment
    from rtp.ops.stack.code.watch import Files, Watched
    from rtp.ops.stack.operation import Operation
    from rtp.ops.stack.options import Mark
    from rtp.ops.stack.steps import Step

_NAMED = 4  # files that a line names
_LOCKED_PAUSE_S = 1.0
_ROUNDS = 3  # saves of a synthesis' own files, one after the other, until they are watched no longer
_RUNS = {
    "hotswapped": "this code runs now",
    "updated": "this code runs now",
    "created": "this code runs now",
    "unchanged": "the functions run this code already",
    "rolled-back": "the code before it runs on",
}


def run(session: Session, deployed: Files, *, yes: bool, reason: str | None = None) -> None:
    """Deploy at each save; an error is shown, and the watch goes on.

    deployed: the files of the first deploy. Raises RefusedError where another command has deleted or deployed the
    stack: a watch only updates its own.
    """
    from rtp.ops.stack.code import watch

    loop = _Loop(session, yes=yes, reason=reason)
    names = _names([str(path) for path in loop.watched.paths], session.environment.root)
    session.out.say(dim(f"watching {names}; Ctrl-C ends"))
    for files in watch.changes(lambda: loop.watched, since=deployed):
        loop.deploy(files)


class _Loop:
    """The state of a watch: the environment as rtp.toml is now, what is watched, and the stack as the watch left it."""

    def __init__(self, session: Session, *, yes: bool, reason: str | None) -> None:
        from rtp.commands.render.progress import Progress
        from rtp.ops.stack import deploy as op
        from rtp.ops.stack.code.watched import watched

        self._session = session
        self._yes = yes
        self._reason = reason
        self._environment = session.environment
        self._progress = Progress(session.out)
        self._mark = op.mark(session.start(), self._environment)
        self._own = _OwnFiles()
        self.watched: Watched = watched(self._environment)

    def deploy(self, files: Sequence[str]) -> None:
        """Deploy what was saved, once no other command changes the stack. Raises RefusedError as `run`."""
        from rtp.ops.stack.code.watched import watched
        from rtp.ops.stack.steps import Saved
        from rtp.ops.work.clock import SYSTEM

        root = self._environment.root
        self._session.out.event("saved", Saved(tuple(_below(root, file) for file in files)), lambda _: None)
        report = _Report(self._session, self._progress, _names(files, root))
        while self._is_locked(report):
            SYSTEM.sleep(_LOCKED_PAUSE_S)
        if written := self._own.after(files, self._environment):
            names = _names(sorted(written), self._environment.root)
            self._session.out.warn(f"{names} changes at each synthesis, and is watched no longer")
        former = self.watched
        self.watched = watched(self._environment, self._own.ignored)
        if report.has_failed:  # code that cannot be read does not show what it imports
            self.watched = replace(self.watched, paths=tuple(dict.fromkeys((*self.watched.paths, *former.paths))))

    def _is_locked(self, report: _Report) -> bool:
        """Deploy once. Returns whether nothing was done because another command on this machine changes the stack."""
        from rtp.commands.render import stack_state
        from rtp.config import environments
        from rtp.ops.stack import deploy as op
        from rtp.ops.stack.operation import Operation, Stage
        from rtp.ops.stack.options import Options
        from rtp.ops.stack.steps import Result

        out = self._session.out
        operation = Operation(lambda question: self._progress.ask(question, yes=self._yes))
        try:
            self._environment = environment = environments.resolve(self._session.overrides)
            options = Options(hotswap=True, unless_changed_since=self._mark, keep=False)  # a save is no release
            steps = op.deploy(environment, self._session.start, options, operation)
            with (
                recorded(self._session, "deploy", {"watch": True}, reason=self._reason, later=True) as entry,
                stack_state.after_deploy(out, environment, operation),
                closing(steps),
            ):
                for step in steps:
                    if isinstance(step, Result):
                        entry.result = step.status
                    if changes_stack(step):  # the others, such as a save while another deploy runs, are no change
                        entry.begin(self._session.aws)
                    report.show(step)
        except RtpError as error:
            if error.code == "changed-elsewhere":
                raise
            if error.code == "locked":
                report.waits(error)
                return True
            report.failed(error, operation)
        # An idle attempt has not changed the stack, and must not take over what did.
        if operation.stage is not Stage.IDLE or operation.has_swapped:
            self._mark = self._marked()
        return False

    def _marked(self) -> Mark:
        """The stack after an operation of this watch; where it cannot be read, its id alone is compared next time."""
        from rtp.ops.stack import deploy as op

        try:
            return op.mark(self._session.start(), self._environment)
        except RtpError:
            return replace(self._mark, is_time_known=False, code=frozenset())


class _Report:
    """The lines of one save: what was saved, how long its deploy took, and whether the code now runs."""

    def __init__(self, session: Session, progress: Progress, saved: str) -> None:
        self._out = session.out
        self._progress = progress
        self._saved = saved
        self._began = time.monotonic()
        self._waits = False
        self.has_failed = False

    def show(self, step: Step) -> None:
        """Show a step. The outputs are known already, and a change of code needs no plan."""
        from rtp.ops.stack.compare.approval import Plan
        from rtp.ops.stack.steps import Note, Outputs, Phase, Result

        if isinstance(step, Phase | Note | Outputs):
            return
        if isinstance(step, Result) and not self._out.json:
            if step.status != "failed":  # its error follows
                what = f"{step.status} in {self._took()}"
                self._line(good(what), f"; {_RUNS[step.status]}" if step.status in _RUNS else "")
        elif not isinstance(step, Plan) or self._out.json:
            self._progress.show(step)

    def waits(self, error: RtpError) -> None:
        """Another command changes the environment: say once that the save waits for it."""
        if not self._waits:
            self._line(f"waits: {error.message[0].lower()}{error.message[1:]}")
        self._waits = True

    def failed(self, error: RtpError, operation: Operation) -> None:
        """The deploy has failed: say what runs, and why."""
        from rtp.ops.stack.operation import Stage

        self.has_failed = True
        if not self._out.json:
            certain = operation.stage in (Stage.IDLE, Stage.DONE) and not operation.is_swapping
            runs = "the code before it runs on" if certain else "it may run in part; `rtp status` shows the stack"
            self._line(bad(f"failed after {self._took()}"), f"; {runs}")
        self._out.error(error)

    def _took(self) -> str:
        return f"{time.monotonic() - self._began:.1f} s"

    def _line(self, *parts: Text | str) -> None:
        self._out.say(line(dim(times.clock(times.now_ms())), "  ", name(self._saved), "  ", *parts))


class _OwnFiles:
    """Files that the synthesis of `[infra] extend` writes itself: each deploy would start the next one, without end."""

    def __init__(self) -> None:
        self._rounds = 0
        self.ignored: frozenset[str] = frozenset()

    def after(self, files: Sequence[str], environment: Environment) -> frozenset[str]:
        """Count a save. Returns the files that are ignored from now on, after several saves of nothing else."""
        from rtp.ops.stack.build.synth import extension_paths

        read = [path for path in extension_paths(environment) if path != environment.extend]
        is_own = all(not f.endswith(".py") and any(Path(f).is_relative_to(path) for path in read) for f in files)
        self._rounds = self._rounds + 1 if is_own else 0
        if self._rounds < _ROUNDS:
            return frozenset()
        self._rounds = 0
        self.ignored |= set(files)
        return frozenset(files)


def changes_stack(step: Step) -> bool:
    """Whether a step shows that the deploy changes the stack, or is about to."""
    from rtp.ops.stack import deploy as op
    from rtp.ops.stack.steps import Phase, Result

    if isinstance(step, Result):
        return step.status != "unchanged"
    return isinstance(step, Phase) and step.name != op.FIRST_PHASE


def _names(files: Sequence[str], root: Path) -> str:
    """The first files by their paths below the project's folder, and how many more there are."""
    shown = [_below(root, file) for file in files[:_NAMED]]
    more = len(files) - len(shown)
    return ", ".join(shown) + (f" and {many(more, 'more file')}" if more else "")


def _below(root: Path, file: str) -> str:
    """A file by its path below the project's folder, where it is in it."""
    return str(Path(file).relative_to(root)) if Path(file).is_relative_to(root) else file
