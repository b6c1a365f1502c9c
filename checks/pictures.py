"""Pictures of the terminal for README and the manual: `python -m checks.pictures` runs the demo and draws its output.

The real commands run on a terminal of 100 columns. What they write is followed as a terminal does, and drawn as SVG,
light or dark as the reader's system is. The pictures load nothing from elsewhere. The page of the demo's incident is
pictured by headless Chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from dataclasses import dataclass, replace
from pathlib import Path
from xml.sax.saxutils import escape

from checks import pages
from rtp.local import engine
from rtp.ops import demo

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
COLUMNS = 100
_SCENES: dict[tuple[str, ...], str] = {
    ("deploy", "--yes"): "deploy",
    ("traces", "show"): "waterfall",
    ("status", "--check"): "status",
    ("triage",): "triage",
    ("dlq", "inspect"): "inspect",
    ("rehearse",): "rehearse",
    ("dlq", "redrive"): "redrive",
    ("show", demo.POISON_ID): "show",
    ("drill", "throttle"): "drill",
}
"""The first words of a step of the demo -> the picture of the first such step."""
_DRILL = ("drill", "throttle", "--count", "12", "--yes")
REPORT, _REPORT_WIDTH = "report", 1000
_LONGEST = 60  # lines of a picture
_SEQUENCE = re.compile(r"\x1b\[(?P<numbers>[?0-9;]*)(?P<kind>[A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.")
_WIDTH, _HEIGHT, _MARGIN = 8.4, 20, 16  # px of a column and a line, and around
_COLOURS = {31: "red", 32: "green", 33: "yellow", 34: "blue", 35: "magenta", 36: "cyan"}
_CSS = """\
svg { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }
text { fill: #1f2328; white-space: pre } .screen { fill: #f6f8fa; stroke: #d1d9e0 }
.bold { font-weight: bold } .dim { opacity: .62 }
.red { fill: #cf222e } .green { fill: #1a7f37 } .yellow { fill: #9a6700 }
.blue { fill: #0969da } .magenta { fill: #8250df } .cyan { fill: #1b7c83 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .screen { fill: #0d1117; stroke: #3d444d }
  .red { fill: #ff7b72 } .green { fill: #3fb950 } .yellow { fill: #d29922 }
  .blue { fill: #58a6ff } .magenta { fill: #bc8cff } .cyan { fill: #39c5cf }
}"""


@dataclass(frozen=True, slots=True)
class Style:
    """How a character looks. colour: a class of the picture's style sheet; empty for the default."""

    bold: bool = False
    dim: bool = False
    colour: str = ""


Cell = tuple[str, Style]


class Screen:
    """The lines of a terminal that scrolls without an end, from what a program writes to it."""

    def __init__(self) -> None:
        self.lines: list[list[Cell]] = [[]]
        self._row = self._column = 0
        self._style = Style()

    def write(self, text: str) -> None:
        """Follow characters and control sequences; unknown ones have no effect."""
        end = 0
        for sequence in _SEQUENCE.finditer(text):
            self._put(text[end : sequence.start()])
            self._control(sequence["kind"] or "", sequence["numbers"] or "")
            end = sequence.end()
        self._put(text[end:])

    def _put(self, text: str) -> None:
        for character in text:
            if character == "\n":
                self._row += 1
                self.lines += [[] for _ in range(self._row + 1 - len(self.lines))]
            elif character == "\r":
                self._column = 0
            elif character >= " ":
                line = self.lines[self._row]
                line += [(" ", Style())] * (self._column + 1 - len(line))
                line[self._column] = (character, self._style)
                self._column += 1

    def _control(self, kind: str, numbers: str) -> None:
        first = int(numbers) if numbers.isdigit() else 0
        if kind == "A":
            self._row = max(0, self._row - max(1, first))
        elif kind == "K":
            self.lines[self._row][0 if first == 2 else self._column :] = []
        elif kind == "J":
            self.lines[self._row + 1 :] = []
            self.lines[self._row][self._column :] = []
        elif kind == "m":
            for number in [int(each or 0) for each in numbers.split(";")]:
                self._style = _styled(self._style, number)


def _styled(style: Style, number: int) -> Style:
    if number == 0:
        return Style()
    if number in (1, 2):
        return replace(style, bold=style.bold or number == 1, dim=style.dim or number == 2)
    if number == 22:
        return replace(style, bold=False, dim=False)
    if number == 39 or 30 <= number <= 37:
        return replace(style, colour=_COLOURS.get(number, ""))
    return style


def drawing(command: str, lines: list[list[Cell]]) -> str:
    """The SVG of a command and the lines below it."""
    prompt: list[Cell] = [("$", Style(dim=True)), (" ", Style()), *((c, Style(bold=True)) for c in command)]
    shown = [prompt, *lines]
    width = max(COLUMNS, max(map(len, shown))) * _WIDTH + 2 * _MARGIN
    height = len(shown) * _HEIGHT + 2 * _MARGIN
    rows = [text for number, line in enumerate(shown) for text in _texts(line, _MARGIN + (number + 0.7) * _HEIGHT)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
            f"<title>{escape(f'Terminal: {command}')}</title>",
            f"<style>\n{_CSS}\n</style>",
            f'<rect class="screen" x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="8"/>',
            *rows,
            "</svg>\n",
        ]
    )


def _texts(line: list[Cell], y: float) -> list[str]:
    """A line as texts of one style each; each begins at its column and has the width of its characters."""
    texts, start = [], 0
    while start < len(line):
        style = line[start][1]
        end = next((n for n in range(start, len(line)) if line[n][1] != style), len(line))
        text = "".join(character for character, _ in line[start:end]).rstrip()
        names = [name for name, on in (("bold", style.bold), ("dim", style.dim)) if on]
        names += [style.colour] if style.colour else []
        if text:
            kind = f' class="{" ".join(names)}"' if names else ""
            place = f'x="{_MARGIN + start * _WIDTH:.1f}" y="{y:.0f}" textLength="{len(text) * _WIDTH:.1f}"'
            texts.append(f"<text {place}{kind}>{escape(text)}</text>")
        start = end
    return texts


def run(words: list[str], folder: Path) -> Screen:
    """Run `rtp WORDS` on a terminal, to its end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RTP_", "NO_COLOR"))}
    environ |= {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LANG": "C.UTF-8"}
    child = subprocess.Popen(
        [sys.executable, "-m", "rtp", *words], cwd=folder, env=environ, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError):  # Linux's answer when the other end is closed
        while data := os.read(ours, 65536):
            written += data
    os.close(ours)
    child.wait()
    screen = Screen()
    screen.write(written.decode("utf-8", "replace"))
    return screen


def shown_lines(screen: Screen) -> list[list[Cell]]:
    """The lines of a picture: without empty ones at the ends, and at most so many that it can be read."""
    lines = [line if any(character != " " for character, _ in line) else [] for line in screen.lines]
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    return lines if len(lines) <= _LONGEST else [*lines[: _LONGEST - 1], [("…", Style(dim=True))]]


def _report(folder: Path, out: Path) -> None:
    """Write the picture of the page of what happened so far. Raises pages.PageError."""
    program = pages.browser()
    if program is None:
        raise pages.PageError(f"No Chromium on PATH ({', '.join(pages.BROWSERS)}); Debian's package is `chromium`.")
    page = folder / f"{REPORT}.html"
    run(["report", "--since", "1h", "--html", str(page)], folder)
    view = pages.View("desk", _REPORT_WIDTH, height=300)  # no longer than the page
    with pages.opened(program) as chromium:
        if wrong := pages.findings(chromium, page, view, folder):
            raise pages.PageError("; ".join(wrong))
    (out / f"{REPORT}.png").write_bytes((folder / f"{REPORT}-{view.name}.png").read_bytes())


def main(argv: list[str]) -> int:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PICTURES)
    out = parser.parse_args(argv).out
    out.mkdir(parents=True, exist_ok=True)
    drawn: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="rtp-pictures-") as name:
        folder = Path(name)
        demo.prepare(folder)
        try:
            for step in demo.STORY:
                if step.edit:
                    step.edit(folder)
                is_last = step is demo.STORY[-1]  # it deletes everything
                if is_last:
                    _report(folder, out)
                for command in (_DRILL, step.command) if is_last else (step.command,):
                    screen = run(list(command), folder)
                    picture = _SCENES.get(command[:2])
                    if picture and picture not in drawn:
                        drawn.add(picture)
                        svg = drawing(f"rtp {' '.join(command)}", shown_lines(screen))
                        (out / f"{picture}.svg").write_text(svg, encoding="utf-8")
        finally:
            engine.stop(folder)
    return 0 if drawn == set(_SCENES.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
