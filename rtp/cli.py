"""The Typer app: commands registered lazily, and the one error boundary."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn, TextIO

import typer
from typer.core import TyperCommand, TyperGroup

from rtp import __version__
from rtp.errors import ExitCode, ReaderGoneError, RtpError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType


class _Entry(NamedTuple):
    panel: str
    help: str


_PIPELINE, _EVENTS, _REPAIR, _HERE = "Pipeline", "Events", "Repair", "Here"

# Name -> panel and help, in the order of `rtp --help`. Each is the `app` of rtp/commands/<name>.py.
COMMANDS = {
    "init": _Entry(_PIPELINE, "Scaffold rtp.toml, processors, a payload and a test."),
    "config": _Entry(_PIPELINE, "Show an environment's settings and where each came from."),
    "synth": _Entry(_PIPELINE, "Write the CloudFormation template."),
    "diff": _Entry(_PIPELINE, "Show what a deploy would change."),
    "bootstrap": _Entry(_PIPELINE, "Prepare the account and region for deploys."),
    "deploy": _Entry(_PIPELINE, "Deploy the pipeline."),
    "destroy": _Entry(_PIPELINE, "Delete the pipeline and prove what is gone."),
    "status": _Entry(_PIPELINE, "Show stack, endpoints, queues and alarms."),
    "outputs": _Entry(_PIPELINE, "Show the stack's outputs."),
    "alarms": _Entry(_PIPELINE, "Show alarms with their reasons."),
    "send": _Entry(_EVENTS, "Send events through the API."),
    "show": _Entry(_EVENTS, "Show all that is known of one event."),
    "records": _Entry(_EVENTS, "List stored records."),
    "logs": _Entry(_EVENTS, "Show or follow both functions' logs."),
    "traces": _Entry(_EVENTS, "List traces, or show one."),
    "dlq": _Entry(_REPAIR, "Inspect, redrive and purge the dead-letter queue."),
    "replay": _Entry(_REPAIR, "Process archived raw events again."),
    "local": _Entry(_HERE, "Start, stop and look at the embedded engine."),
    "run": _Entry(_HERE, "Run one event through the processors in this process."),
    "doctor": _Entry(_HERE, "Find what would stop a deploy here, and the fix."),
    "demo": _Entry(_HERE, "Watch the whole story on a throw-away engine."),
}


class LazyGroup(TyperGroup):
    """The root group. It knows every command's name and help, and imports a command's module only to run it."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        for name, entry in COMMANDS.items():
            self.commands[name] = TyperCommand(name, help=entry.help, rich_help_panel=entry.panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As Typer's, then the real command in the place of the name."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if name in COMMANDS else command, rest


def load(name: str) -> Any:
    """The command itself, from its module."""
    import importlib

    module = importlib.import_module(f"rtp.commands.{name}")
    command = typer.main.get_command(module.app)
    command.name = name
    return command


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"rtp {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Deploy, feed, watch, repair and tear down an event pipeline on AWS, or on this machine."""


class _Terminated(BaseException):
    """SIGTERM, as an exception, so that what is open is closed."""


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its code. The only place where an expected failure is printed."""
    args = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # of rtp/__main__.py
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.unraisablehook = _unraisable
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started us: nobody answers, and nobody wants to know
            stream = Path(os.devnull).open("r" if name == "stdin" else "w", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, stream)
    try:
        code = _run(args)
        sys.stdout.flush()
    except (ReaderGoneError, BrokenPipeError):
        # The reader (head, less) has gone; nothing is wrong, and nothing more can be said.
        _silence(sys.stdout)
        code = ExitCode.OK
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _silence(sys.stdout)
        sys.stderr.write(f"error: {error.strerror}: {error.filename or 'standard output'}\n  fix: Make room.\n")
        code = ExitCode.FAILED
    sys.exit(code)


def _silence(stream: TextIO) -> None:
    """Let what is still in the stream's buffer go nowhere at exit."""
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
        from rtp.text import suggest

        named = ["rtp", *[a for a in args if a in COMMANDS][:1]]  # what is found while parsing has no context
        path = getattr(getattr(error, "ctx", None), "command_path", "").split() or named
        hint = suggest.sentence("See {}.", suggest.command(*path, help=True))
        return _fail(UsageError(error.format_message(), hint=hint), args)
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

    # The options may be what is wrong, so the arguments are asked and not the parser.
    options = args[: args.index("--")] if "--" in args else args
    json = any(a == "--json" or a.split("=")[0] == "--query" for a in options)
    Output(json=json, where=suggest.where(args)).error(error)
    return error.exit_code


def _unraisable(lost: sys.UnraisableHookArgs) -> None:
    """A signal that came within a finalizer would be swallowed with a traceback; have it come again a moment later."""
    number = {_Terminated: signal.SIGTERM, KeyboardInterrupt: signal.SIGINT}.get(lost.exc_type)
    if number is None:
        sys.__unraisablehook__(lost)
        return
    import threading

    again = threading.Timer(0.02, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise _Terminated
