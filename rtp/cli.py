"""The Typer app: commands registered lazily, and the one error boundary."""

from __future__ import annotations

import errno
import os
import signal
import sys
from io import IOBase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn, TextIO

import typer

from rtp import __version__
from rtp.errors import ExitCode, ReaderGoneError, RtpError
from rtp.terminal.parsers import CommandGroup, OneCommand

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType


class _Entry(NamedTuple):
    panel: str
    help: str


_COMPLETION = "_RTP_COMPLETE"  # set by the shell that asks for completions
_PIPELINE, _EVENTS, _REPAIR, _LOCAL = "Pipeline", "Events", "Repair", "Local"

# Name -> panel and help, in the order of `rtp --help`. A command is the `app` of rtp/commands/<name>.py.
COMMANDS = {
    "init": _Entry(
        _PIPELINE, "Create a project: rtp.toml, typed processors, payloads, tests, a README and a CI workflow."
    ),
    "config": _Entry(_PIPELINE, "Show the settings of an environment and the source of each."),
    "synth": _Entry(_PIPELINE, "Write the CloudFormation template."),
    "diff": _Entry(_PIPELINE, "Show what a deploy would change."),
    "processors": _Entry(
        _PIPELINE, "Show what the functions get: processors, packed files, packages, variables and secrets."
    ),
    "secrets": _Entry(_PIPELINE, "Set, list and delete the secrets of the functions."),
    "keys": _Entry(_PIPELINE, "List, create, rotate and revoke the API keys of clients."),
    "capacity": _Entry(_PIPELINE, "Show how many events a second fit, which limit is first, and what they cost."),
    "bootstrap": _Entry(_PIPELINE, "Prepare an account and region for deploys."),
    "deploy": _Entry(_PIPELINE, "Deploy the pipeline."),
    "rollback": _Entry(_PIPELINE, "Go back to the code, layer and settings of an earlier release."),
    "destroy": _Entry(_PIPELINE, "Delete the pipeline and verify that it is gone."),
    "status": _Entry(_PIPELINE, "Show the state of the stack, endpoints, queues and alarms."),
    "outputs": _Entry(_PIPELINE, "Show the stack's outputs."),
    "history": _Entry(_PIPELINE, "List the commands that changed an environment, or show one."),
    "alarms": _Entry(_PIPELINE, "Show alarms, their states and reasons."),
    "send": _Entry(_EVENTS, "Send events through the API."),
    "show": _Entry(_EVENTS, "Show all that is known of one event."),
    "records": _Entry(_EVENTS, "List stored records."),
    "logs": _Entry(_EVENTS, "Show or follow the logs of both functions."),
    "traces": _Entry(_EVENTS, "List traces, or show one."),
    "dlq": _Entry(_REPAIR, "Inspect, redrive and purge the dead-letter queue."),
    "triage": _Entry(_REPAIR, "Show what is red, since when and since which release, and the groups of failures."),
    "report": _Entry(
        _REPAIR, "Report an incident in order of time, for the post-mortem: alarms, releases, failures, repairs, proof."
    ),
    "drill": _Entry(
        _REPAIR, "Inject a fault into an environment that is not protected, and show what became of each event."
    ),
    "replay": _Entry(_REPAIR, "Process archived raw events again."),
    "rehearse": _Entry(_REPAIR, "Run archived events through this folder's code; store, send and emit nothing."),
    "local": _Entry(_LOCAL, "Start, stop and inspect the embedded AWS engine."),
    "run": _Entry(_LOCAL, "Run one event through the processors in this process."),
    "test": _Entry(_LOCAL, "Run the project's tests by pytest."),
    "trust": _Entry(_LOCAL, "Trust a project's folder; without DIR, list what is trusted."),
    "doctor": _Entry(_LOCAL, "Check what would stop a deploy, and how to fix it."),
    "demo": _Entry(_LOCAL, "Run a guided demonstration on a temporary engine."),
    "docs": _Entry(_LOCAL, "Show a page of the manual, or the entry of an error code; without TOPIC, list the pages."),
    "help": _Entry(_LOCAL, "Show the help of a command."),
    "version": _Entry(_LOCAL, "Show the versions of rtp and of what it runs with."),
}


class LazyGroup(CommandGroup):
    """The root group. It lists every command from COMMANDS and imports a command's module only to run it."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        for name, entry in COMMANDS.items():
            self.commands[name] = OneCommand(name, help=entry.help, rich_help_panel=entry.panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Resolve the name as Typer does, then load the real command."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if name in COMMANDS else command, rest


def load(name: str) -> Any:
    """Import a command from its module."""
    import importlib

    module = importlib.import_module(f"rtp.commands.{name}")
    command = typer.main.get_command(module.app)
    command.name = name
    return command


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(is_requested: bool) -> None:
    if is_requested:
        sys.stdout.write(f"rtp {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Deploy, test, monitor, repair and delete an event pipeline on AWS, or on an embedded engine on this machine."""


class _Terminated(BaseException):
    """SIGTERM as an exception, so that context managers close their resources."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its code. Expected failures are printed only here."""
    args = _with_project_last(list(sys.argv[1:] if argv is None else argv))
    if _COMPLETION in os.environ:
        sys.modules["rich"] = None  # type: ignore[assignment]  # typer would load it to remove markup, which rtp has not
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # set by rtp/__main__.py
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.unraisablehook = _unraisable
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # the parent process closed it: read nothing, write nowhere
            stream = Path(os.devnull).open("r" if name == "stdin" else "w", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, stream)
    try:
        code = _run(args)
        sys.stdout.flush()
    except (ReaderGoneError, BrokenPipeError):
        # The reader of stdout (head, less) has closed it. That is no failure.
        _silence(sys.stdout)
        code = ExitCode.OK
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _silence(sys.stdout)
        from rtp.text.sanitize import printable

        where = printable(str(error.filename or _written(error)))
        sys.stderr.write(f"error: {error.strerror}: {where}\n  fix: Free disk space.\n")
        code = ExitCode.FAILED
    sys.exit(code)


def _with_project_last(args: list[str]) -> list[str]:
    """Move `-C DIR` from before the command, where git and make have it, to the command's options."""
    moved: list[str] = []
    while args and (args[0].startswith("-C") or args[0].partition("=")[0] == "--project-dir"):
        length = 2 if args[0] in ("-C", "--project-dir") else 1
        moved, args = [*moved, *args[:length]], args[length:]
    end = args.index("--") if "--" in args else len(args)
    return [*args[:end], *moved, *args[end:]]


def _written(error: OSError) -> str:
    """What was being written: Python names a file where opening it fails, and not where its disk is full."""
    from traceback import walk_tb

    for frame, _ in reversed(list(walk_tb(error.__traceback__))):
        values = list(frame.f_locals.values())
        names = [getattr(value, "name", None) for value in values if isinstance(value, IOBase)]
        found = [n for n in names if isinstance(n, str) and not n.startswith("<")]
        found += [str(value) for value in values if isinstance(value, Path)]
        if found and sys.stdout not in values:
            return found[0]
    return "standard output"


def _silence(stream: TextIO) -> None:
    """Discard what the stream's buffer still holds at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _run(args: list[str]) -> int:
    try:
        result = app(args=args, prog_name="rtp", standalone_mode=False)
    except RtpError as error:
        return _fail(error, args)
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stdout.write(error.format_message() + "\n")
            return ExitCode.USAGE
        from rtp.commands import usage

        command = ["rtp", *[a for a in args if a in COMMANDS][:1]]
        return _fail(usage.explained(error, args, command=command), args)
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("interrupted\n")
        return ExitCode.INTERRUPTED
    except _Terminated:
        sys.stderr.write("terminated\n")
        return ExitCode.TERMINATED
    return result if isinstance(result, int) else ExitCode.OK


def _fail(error: RtpError, args: Sequence[str]) -> int:
    from rtp.terminal.output import Output
    from rtp.text import suggest

    # The parser may have failed on the options, so they are read from the arguments.
    options = args[: args.index("--")] if "--" in args else args
    json = any(a == "--json" or a.split("=")[0] == "--query" for a in options)
    Output(json=json, where=suggest.where(args)).error(error)
    return error.exit_code


def _unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Send a signal again that arrived within a finalizer, where Python would only print a traceback."""
    number = {_Terminated: signal.SIGTERM, KeyboardInterrupt: signal.SIGINT}.get(unraisable.exc_type)
    if number is None:
        sys.__unraisablehook__(unraisable)
        return
    import threading

    timer = threading.Timer(0.02, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise _Terminated
