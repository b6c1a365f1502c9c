"""The pictures of the terminal: output is followed as a terminal does, and drawn without foreign parts."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from checks.pictures import COLUMNS, PICTURES, REPORT, Screen, Style, drawing, shown_lines
from tests.unit.docs.test_manual_pages import parse

if TYPE_CHECKING:
    from pathlib import Path

PLOTS = sorted(PICTURES.glob("bench-*.svg"))
DRAWN = sorted(set(PICTURES.glob("*.svg")) - set(PLOTS))


def rows(written: str) -> list[str]:
    screen = Screen()
    screen.write(written)
    return ["".join(character for character, _ in line) for line in screen.lines]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a\r\nb", ["a", "b"]),
        ("working\r\x1b[2Kdone\r\n", ["done", ""]),
        ("one\r\ntwo\r\n\x1b[1A\x1b[2Kthree", ["one", "three", ""]),
        ("one\r\ntwo\r\n\x1b[2A\x1b[Jlast", ["last"]),
        ("\x1b[?25lhidden cursor\x1b[?25h", ["hidden cursor"]),
        ("\x1b]0;title\x07text", ["text"]),
        ("12345\r12\x1b[K", ["12"]),
    ],
)
def test_a_screen_is_what_a_terminal_would_show(written: str, expected: list[str]) -> None:
    assert rows(written) == expected


def test_colours_are_those_of_the_program() -> None:
    screen = Screen()
    screen.write("\x1b[1;31mbad\x1b[0m \x1b[2mdim\x1b[22m\x1b[36mname\x1b[39m")
    styles = {"".join(c for c, s in screen.lines[0] if s == style): style for _, style in screen.lines[0]}
    assert styles == {
        "bad": Style(bold=True, colour="red"),
        " ": Style(),
        "dim": Style(dim=True),
        "name": Style(colour="cyan"),
    }


def test_a_long_picture_is_cut_with_a_mark() -> None:
    screen = Screen()
    screen.write("\r\n".join(["", *(f"line {number}" for number in range(100)), "", ""]))
    shown = ["".join(c for c, _ in line) for line in shown_lines(screen)]
    assert (shown[0], shown[-1], len(shown)) == ("line 0", "…", 60)


def test_text_is_escaped() -> None:
    screen = Screen()
    screen.write("<b> & ]]>")
    svg = ElementTree.fromstring(drawing("rtp show 'a<b'", screen.lines))  # noqa: S314
    assert [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")][-1] == "<b> & ]]>"


@pytest.mark.parametrize("picture", DRAWN, ids=lambda picture: picture.stem)
def test_a_picture_is_of_a_command_and_loads_nothing(picture: object) -> None:
    text = next(p for p in DRAWN if p == picture).read_text(encoding="utf-8")
    svg = ElementTree.fromstring(text)  # noqa: S314 - a file of this repository
    names = {element.tag.rpartition("}")[2] for element in svg.iter()}
    assert names == {"svg", "title", "style", "rect", "text"}
    assert set(re.findall(r"https?://[\w./-]+", text)) <= {"http://www.w3.org/2000/svg"} | set(
        re.findall(r"http://127\.0\.0\.1[\w./-]*", text)
    )
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"/tmp|/home|/root|rtp-pictures", text)
    title = svg.findtext("{http://www.w3.org/2000/svg}title") or ""
    parse(title.removeprefix("Terminal: rtp ").split())


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.stem)
def test_a_plot_has_lines_with_names_and_loads_nothing(plot: Path) -> None:
    text = plot.read_text(encoding="utf-8")
    svg = ElementTree.fromstring(text)  # noqa: S314 - a file of this repository
    tags = [element.tag.rpartition("}")[2] for element in svg.iter()]
    assert set(tags) <= {"svg", "style", "title", "rect", "line", "polyline", "path", "circle", "g", "text"}
    assert tags.count("polyline") >= 2 and "text" in tags
    assert "href" not in text and "url(" not in text


def test_every_picture_stands_on_a_page() -> None:
    docs = PICTURES.parent
    text = "".join(page.read_text(encoding="utf-8") for page in (docs.parent / "README.md", *docs.glob("*.md")))
    shown = set(re.findall(r"\(\S*pictures/([a-z-]+\.(?:svg|png))\)", text))
    assert shown == {picture.name for picture in PICTURES.iterdir()}


def test_the_picture_of_the_incident_is_a_page_of_some_length_and_not_large() -> None:
    content = (PICTURES / f"{REPORT}.png").read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    assert content.startswith(b"\x89PNG\r\n") and 980 <= width <= 1000 and 400 < height < 2000
    assert len(content) < 300_000


def test_there_is_a_picture_of_each_scene() -> None:
    assert {picture.stem for picture in DRAWN} >= {"deploy", "status", "show", "waterfall", "redrive", "drill"}
    readme = (PICTURES.parent.parent / "README.md").read_text(encoding="utf-8")
    assert {"triage", "drill"} <= set(re.findall(r"\(docs/pictures/([a-z]+)\.svg\)", readme))
    assert COLUMNS == 100
