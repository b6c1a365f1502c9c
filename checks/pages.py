"""Open rtp's HTML pages in headless Chromium: `python -m checks.pages [FOLDER]`.

A real run on the embedded engine writes a page of each kind: of an event that was processed, of one that died, of
their traces, and of the incident. Each is opened as on a desk and on a phone, light and dark, and printed. The check
fails on a message in the console, a request to anything but the page itself, text that is wider than the screen, and a
missing browser. The pages, their screenshots and prints stay in the folder, for people to look at.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_ANSWER_S, _COMMAND_S = 60.0, 300.0
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # root of a container has no other way; the pages are our own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--remote-debugging-pipe",
)
# The browser reads commands from descriptor 3 and writes answers to 4.
_LAUNCHER = """
import fcntl, os, sys
commands, answers = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(commands, 3)
os.dup2(answers, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
_PROCESSORS = """
from rtp.runtime import Event, processor


@processor("page.fails")
def fails(event: Event) -> None:
    print("an event whose country has no rate")
    raise KeyError(event.data["country"])
"""
_EVENTS = {
    "processed": {"type": "page.stored", "data": {"note": "<b>text</b> & " + "a long word".replace(" ", "-") * 20}},
    "dead": {"type": "page.fails", "data": {"country": "ZZ"}},
}


class PageError(Exception):
    """A page cannot be written or opened."""


@dataclass(frozen=True, slots=True)
class View:
    """How a page is looked at. width, height: CSS px; a screenshot has all of a page that is longer."""

    name: str
    width: int
    dark: bool = False
    height: int = 900


VIEWS = (View("desk", 1280), View("desk-dark", 1280, dark=True), View("phone", 390), View("phone-dark", 390, dark=True))


def browser() -> str | None:
    """The program of a Chromium on PATH; None without one."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@dataclass
class Chromium:
    """A running browser, by its DevTools protocol over a pipe: https://chromedevtools.github.io/devtools-protocol/."""

    reader: int
    writer: int
    session: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _rest: bytes = b""

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to a command. Raises PageError."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        for answer in self._messages():
            if answer.get("id") == number:
                if "error" in answer:
                    raise PageError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)
        raise PageError(f"{method}: Chromium does not answer")

    def wait(self, method: str) -> None:
        """Wait for an event. Raises PageError."""
        if any(event.get("method") == method for event in self.events):
            return
        for event in self._messages():
            self.events.append(event)
            if event.get("method") == method:
                return
        raise PageError(f"{method} does not come")

    def _messages(self) -> Iterator[dict[str, Any]]:
        """What the browser sends, until nothing comes for too long or it ends."""
        deadline = time.monotonic() + _ANSWER_S
        while True:
            while b"\0" in self._rest:
                text, _, self._rest = self._rest.partition(b"\0")
                yield json.loads(text)
            ready, _, _ = select.select([self.reader], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self.reader, 1 << 20) if ready else b""
            if not data:
                return
            self._rest += data


@contextlib.contextmanager
def opened(program: str) -> Iterator[Chromium]:
    """A browser with an empty profile, ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="rtp-pages-", ignore_cleanup_errors=True) as profile:
        commands, writer = os.pipe()
        reader, answers = os.pipe()
        launch = [sys.executable, "-c", _LAUNCHER, str(commands), str(answers)]
        argv = [*launch, program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        null = subprocess.DEVNULL
        process = subprocess.Popen(argv, pass_fds=(commands, answers), stdin=null, stdout=null, stderr=null)
        os.close(commands)
        os.close(answers)
        try:
            yield Chromium(reader, writer)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            os.close(writer)
            os.close(reader)


def findings(chromium: Chromium, page: Path, view: View, pictures: Path) -> list[str]:
    """Open a page in a tab of its own, and say what is wrong with it. Writes a screenshot."""
    chromium.session, chromium.events = "", []
    target = chromium.call("Target.createTarget", url="about:blank")["targetId"]
    chromium.session = chromium.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Log", "Network"):
        chromium.call(f"{domain}.enable")
    is_phone = view.width < 600
    chromium.call(
        "Emulation.setDeviceMetricsOverride", width=view.width, height=view.height, deviceScaleFactor=1, mobile=is_phone
    )
    scheme = {"name": "prefers-color-scheme", "value": "dark" if view.dark else "light"}
    chromium.call("Emulation.setEmulatedMedia", features=[scheme])
    chromium.events.clear()
    chromium.call("Page.navigate", url=page.as_uri())
    chromium.wait("Page.loadEventFired")
    wrong = [*_said(chromium.events), *_requested(chromium.events, page.as_uri())]
    width = chromium.call("Runtime.evaluate", expression="document.documentElement.scrollWidth", returnByValue=True)
    if (wide := int(width["result"]["value"])) > view.width:
        wrong.append(f"it is {wide} px wide")
    shot = chromium.call("Page.captureScreenshot", captureBeyondViewport=True)
    (pictures / f"{page.stem}-{view.name}.png").write_bytes(base64.b64decode(shot["data"]))
    if view.name == "desk":
        printed = chromium.call("Page.printToPDF", printBackground=False)
        (pictures / f"{page.stem}.pdf").write_bytes(base64.b64decode(printed["data"]))
    chromium.session = ""
    chromium.call("Target.closeTarget", targetId=target)
    return wrong


def _said(events: Sequence[dict[str, Any]]) -> Iterator[str]:
    for event in events:
        params = event.get("params", {})
        if event.get("method") == "Log.entryAdded":
            yield f"console: {params['entry']['text']}"
        elif event.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            yield f"script: {json.dumps(params)[:300]}"


def _requested(events: Sequence[dict[str, Any]], own: str) -> Iterator[str]:
    for event in events:
        if event.get("method") == "Network.requestWillBeSent" and (url := event["params"]["request"]["url"]) != own:
            yield f"request of {url}"


def write(folder: Path) -> list[Path]:
    """Deploy a project to the embedded engine, send its events, and write their pages. Raises PageError."""
    with tempfile.TemporaryDirectory(prefix="rtp-pages-", ignore_cleanup_errors=True) as name:
        project = Path(name, "shop")
        project.mkdir()
        _rtp(project, "init")
        with (project / "processors.py").open("a", encoding="utf-8") as file:
            file.write(_PROCESSORS)
        try:
            _rtp(project, "deploy", "--yes")
            pages = []
            for status, event in _EVENTS.items():
                sent = json.loads(_rtp(project, "send", "-", "--json", "--wait", text=json.dumps(event), codes=(0, 1)))
                for kind, words in (("event", ("show",)), ("trace", ("traces", "show"))):
                    pages.append(folder / f"{kind}-{status}.html")
                    _rtp(project, *words, sent["id"], "--html", str(pages[-1]))
            pages.append(folder / "incident.html")
            _rtp(project, "report", "--since", "1h", "--html", str(pages[-1]))
            return pages
        finally:
            with contextlib.suppress(PageError):
                _rtp(project, "destroy", "--yes")
            _rtp(project, "local", "stop")


def _rtp(project: Path, *words: str, text: str = "", codes: Sequence[int] = (0,)) -> str:
    argv = [sys.executable, "-m", "rtp", *words]
    done = subprocess.run(
        argv, cwd=project, input=text, capture_output=True, text=True, check=False, timeout=_COMMAND_S
    )
    if done.returncode not in codes:
        raise PageError(f"rtp {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line for each page and view; 1 if something is wrong with one, 2 without a browser."""
    parser = argparse.ArgumentParser(prog="python -m checks.pages", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "pages")
    folder = parser.parse_args(argv).folder.resolve()
    program = browser()
    if program is None:
        sys.stderr.write(f"No Chromium on PATH ({', '.join(BROWSERS)}); Debian's package is `chromium`.\n")
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    has_failed = False
    try:
        pages = write(folder)
        with opened(program) as chromium:
            for page, view in itertools.product(pages, VIEWS):
                wrong = findings(chromium, page, view, folder)
                has_failed |= bool(wrong)
                sys.stdout.write(f"{page.name:<24} {view.name:<12} {'; '.join(wrong) or 'ok'}\n")
    except PageError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"screenshots and prints are in {folder}\n")
    return int(has_failed)


if __name__ == "__main__":
    sys.exit(main())
