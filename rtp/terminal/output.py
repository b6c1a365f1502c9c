"""The only module that prints: data on stdout, messages on stderr; with `--json` a document or a line per element."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, TextIO, TypeVar

from rtp import fastpath
from rtp.errors import ReaderGoneError, RefusedError, RtpError
from rtp.terminal import charset, documents, draw, hidden, prose
from rtp.terminal.layout import Layout
from rtp.terminal.live import Live
from rtp.terminal.streams import Streams
from rtp.text import addresses, json_values, queries, suggest
from rtp.text.elements import Block, Element, Fields, Heading, Line, Style, Table, Text, converted
from rtp.text.sanitize import printable

_ASCII = str.maketrans({"…": "...", "·": "-", "→": "->", "✗": "x", "×": "x", "≥": ">=", "≠": "!=", "▶": ">"})
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_FLUSH_S = 0.1
_GATHERED = 100  # texts that are written together at the most

Elements = Element | Iterable[Element]
_T = TypeVar("_T")


class Output:
    """Prints the data and the messages of a command.

    json: print data as JSON. query: JMESPath applied to each JSON object; implies json.
    where: environment, profile, region and endpoint of the command line; suggested commands get them too.
    layout: how data is laid out on stdout.
    """

    def __init__(
        self,
        *,
        json: bool = False,
        query: str | None = None,
        where: Mapping[str, str | None] | None = None,
        layout: Layout | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        stdin: TextIO | None = None,
    ) -> None:
        self.json = json or query is not None
        self._query = queries.compiled(query, option="--query") if query is not None else None
        layout = layout or Layout()
        self._wide, self._raw = layout.wide, layout.raw
        self._where = {name: value for name, value in (where or {}).items() if value}
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._stdin = stdin or sys.stdin
        self._live: Live | None = None
        self._gathering = False
        self._gathered: list[str] = []
        self._lock = threading.Lock()  # another thread may print a message
        self._flushed = 0.0
        self._streams = Streams(unlimited=self._stdout if self._wide else None)

    # data

    def result(self, data: _T, render: Callable[[_T], Elements]) -> None:
        """Print a result: one JSON document, or the elements that `render` makes of it."""
        if self.json:
            self.document(data)
        else:
            self.show(render(data))

    def event(self, kind: str, data: _T, render: Callable[[_T], Elements | None]) -> None:
        """Print one element of a stream: a JSON line with its `type`, or the elements that `render` makes of it."""
        if self.json:
            self._json_line(documents.stream_line(kind, data))
            return
        elements = render(data)
        if elements is not None:
            self.show(elements)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Write to stdout every tenth of a second instead of after each element, for many that are there already."""
        self._gathering = True
        try:
            yield
        finally:
            self._gathering = False
            self._flush()

    def document(self, data: Any) -> None:
        """Print one JSON document, its version first, or what the query selects from it."""
        self._write_document(documents.document(data))

    def template(self, template: Mapping[str, Any]) -> None:
        """Print JSON in a format that is not rtp's, such as a CloudFormation template, without rtp's version."""
        self._write_document(json_values.to_json_types(template))

    def _write_document(self, value: Any) -> None:
        if self._query is not None:
            value = self._query.of(value)
        self._write_value(value, lambda: json_values.dumps(value, indent=2 if self._stdout.isatty() else None))

    def show(self, elements: Elements) -> None:
        """Print elements on stdout."""
        self._draw(self._stdout, elements)

    def page(self, markdown: str) -> None:
        """Print a page of the manual: laid out on a terminal, as Markdown in a pipe."""
        if not self._streams.is_terminal(self._stdout):
            self._write_text(self._stdout, markdown)
            return
        from rtp.terminal.markdown import parts

        for part in parts(markdown):
            self._streams.console(self._stdout).print(part.drawn, soft_wrap=part.code)

    def raw(self, text: str) -> None:
        """Print text on stdout unchanged."""
        self._write(self._stdout, text)

    def verbatim(self, text: str) -> None:
        """Print text that others wrote, such as a raw log line: unchanged in a pipe, sanitised on a terminal."""
        self._write(self._stdout, printable(text, newlines=True) if self._streams.is_terminal(self._stdout) else text)

    # messages

    def say(self, *elements: Element) -> None:
        """Print progress and remarks on stderr, without the passwords of addresses."""
        self._draw(self._stderr, [converted(element, addresses.masked) for element in elements])

    def warn(self, text: str) -> None:
        """Print a warning on stderr."""
        self.say(Line((Text("warning: ", Style.WARN), Text(text))))

    def error(self, error: RtpError) -> None:
        """Print an expected failure: `{"error": …}` on stdout with --json, else message and fix on stderr."""
        hint = addresses.masked(suggest.placed(error.hint, self._where))
        if self.json:
            failure = documents.ErrorDocument(documents.Failure(error.code, addresses.masked(error.message), hint))
            self._write_json(json_values.dumps(documents.document(failure)))
            return
        self.say(Line((Text("error: ", Style.BAD), Text(error.message))))
        if hint:
            self.say(Line((Text("  fix: ", Style.DIM), Text(error.hint, Style.ADVICE))))

    # confirmations

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked."""
        return not self.json and self._stdin.isatty() and self._stderr.isatty()

    @property
    def attended(self) -> bool:
        """Whether a person looks at the messages."""
        return self._streams.is_terminal(self._stderr)

    @property
    def can_ask_code(self) -> bool:
        """Whether a person can be asked for an MFA code; also with --json."""
        return self._stdin.isatty() and self._stderr.isatty()

    def code(self, question: str) -> str:
        """Ask for an MFA code without echo, in place of a region that is redrawn. Raises RefusedError without one."""
        with self._live.paused() if self._live is not None else nullcontext():
            return hidden.read(self._prompt(question), stdin=self._stdin, stderr=self._stderr)

    def confirm(self, question: str, *, yes: bool, default: bool = False) -> None:
        """Ask for consent. Raises RefusedError without it, and if nobody can be asked and --yes is missing."""
        if yes:
            return
        if not self.interactive:
            raise RefusedError(f"{question} There is no terminal to ask on.", hint="Repeat the command with --yes.")
        answer = self._ask(f"{question} [{'Y/n' if default else 'y/N'}] ").strip().lower()
        if not (answer in ("y", "yes") or (default and not answer)):
            raise RefusedError("Not confirmed; nothing was changed.")

    def confirm_name(self, question: str, name: str, *, given: str | None) -> None:
        """Ask for `name` to be typed unless it was given as an option. Raises RefusedError otherwise."""
        if given is None:
            if not self.interactive:
                raise RefusedError(
                    f"{question} There is no terminal to type the name on.",
                    hint=suggest.sentence("Repeat the command with {}.", suggest.option("confirm", name)),
                )
            given = self._ask(f"{question} Type {name} to continue: ").strip()
        if given != name:
            raise RefusedError(f"{given!r} is not {name!r}; nothing was changed.")

    def secret(self, prompt: str) -> str:
        """Ask for a value without echo; without a terminal read all of stdin. Raises UsageError, RefusedError."""
        return hidden.read(self._prompt(prompt), stdin=self._stdin, stderr=self._stderr)

    @staticmethod
    def _prompt(text: str) -> str:
        return printable(addresses.masked(text))

    def _ask(self, prompt: str) -> str:
        self._write(self._stderr, self._prompt(prompt))
        answer = self._stdin.readline()
        if not answer:
            raise RefusedError("No answer; nothing was changed.")
        return answer

    # live regions

    @property
    def animated(self) -> bool:
        """Whether stderr is a terminal on which a region can be redrawn in place."""
        return not self.json and self._stderr.isatty() and os.environ.get("TERM") != "dumb"

    @property
    def width(self) -> int:
        """Return the columns of the terminal on stdout; 100 in a pipe."""
        return self._streams.console(self._stdout).width if self._stdout.isatty() and not self._wide else 100

    def glyph(self, character: str, fallback: str) -> str:
        """Return a drawing character, or its fallback if the encoding of stdout lacks it."""
        return fallback if charset.lacks(self._stdout, character) else character

    @contextmanager
    def live(self, *, data: bool = False) -> Iterator[Live]:
        """Open a region that is redrawn in place on a terminal; elsewhere `Live.update` does nothing.

        data: whether the region is on stdout (`status --watch`) or on stderr (the table of `deploy`).
        What is printed meanwhile appears above it.
        """
        stream = self._stdout if data else self._stderr
        if data:
            self._wide = False  # a region that the terminal folds could not be redrawn in place
            self._streams.unlimited = None
        if self.json or not stream.isatty() or os.environ.get("TERM") == "dumb":
            yield Live(None, self)
            return
        from rich.live import Live as RichLive

        region = RichLive(
            console=self._streams.console(stream),
            auto_refresh=False,
            transient=not data,
            vertical_overflow="ellipsis",  # a region taller than the terminal could not be redrawn in place
        )
        with region:
            self._live = Live(region, self)
            try:
                yield self._live
            finally:
                self._live = None

    # drawing

    def _json_line(self, value: Any) -> None:
        if self._query is not None:
            value = self._query.of(value)
            if value is None:
                return
        self._write_value(value, lambda: json_values.encode(value))

    def _write_value(self, value: Any, encode: Callable[[], str]) -> None:
        if self._raw:
            self.verbatim("".join([f"{row}\n" for row in documents.rows(value)]))
        else:
            self._write_json(encode())

    def _write_json(self, text: str) -> None:
        if self._streams.is_narrow(self._stdout):
            text = _BEYOND_ASCII.sub(lambda match: json_values.escape(match[0]), text)
        self._write(self._stdout, text + "\n")

    def _in_charset(self, stream: TextIO) -> Callable[[str], str]:
        """A function that replaces what the encoding of a stream lacks, before anything is measured."""
        encoding = stream.encoding or "utf-8"
        return lambda text: charset.escaped(text.translate(_ASCII), encoding)

    def _write_text(self, stream: TextIO, text: str) -> None:
        self._write(stream, text.translate(_ASCII) if self._streams.is_narrow(stream) else text)

    def _write(self, stream: TextIO, text: str) -> None:
        now = time.monotonic()
        if self._gathering and stream is self._stdout:
            with self._lock:
                self._gathered.append(text)
            if now - self._flushed < _FLUSH_S and len(self._gathered) < _GATHERED:
                return
            text = ""
        self._flushed = now
        self._flush()
        if text:
            self._put(stream, text)

    def _flush(self) -> None:
        """Write what was gathered: before a message too, so that each comes where it belongs."""
        with self._lock:
            text, self._gathered = "".join(self._gathered), []
        if text:
            self._put(self._stdout, text)

    @staticmethod
    def _put(stream: TextIO, text: str) -> None:
        try:
            charset.write(stream, text)
            stream.flush()
        except BrokenPipeError:
            raise ReaderGoneError from None

    def _draw(self, stream: TextIO, elements: Elements) -> None:
        items = self._listed(elements)
        if self._streams.is_narrow(stream):  # the command would be printed with other characters
            items = [converted(item, self._in_charset(stream)) for item in items if not draw.beyond_ascii(item)]
        terminal = self._streams.is_terminal(stream)
        is_plain = not terminal and all(isinstance(v, str | Text | Line | Block | Fields) for v in items)
        if is_plain and fastpath.enabled("plain-output"):
            self._write_text(stream, "".join(f"{draw.flat(v)}\n" for v in items))
            return
        console = self._streams.console(stream)
        is_wide = self._wide and stream is self._stdout
        if terminal and not is_wide:
            items = [row for item in items for row in prose.wrapped(item, console.width)]
        is_unlaid = terminal and self._live is None and all(isinstance(v, str | Text | Line | Block) for v in items)
        if is_unlaid and fastpath.enabled("terminal-lines"):
            codes = draw.codes(colour=console.color_system is not None, monochrome=console.no_color)
            self._write_text(stream, "".join(f"{draw.lit(v, codes)}\n" for v in items))
            return
        if terminal and not is_wide:
            self._flush()
            for index, element in enumerate(items):
                console.print(
                    draw.renderable(element, first=index == 0, tty=True),
                    soft_wrap=isinstance(element, str | Text | Line | Block),
                )
            return
        with console.capture() as capture:
            for index, element in enumerate(items):
                console.print(draw.renderable(element, first=index == 0, tty=False))
        self._write_text(stream, "\n".join(row.rstrip() for row in capture.get().split("\n")))

    def _listed(self, elements: Elements) -> list[Element]:
        items = (
            [elements] if isinstance(elements, str | Text | Line | Table | Fields | Heading | Block) else list(elements)
        )
        return [suggest.placed_element(item, self._where) for item in items] if self._where else items
