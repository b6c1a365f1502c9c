"""The manual as a site: `python -m checks.site --python PYTHON` builds dist/site with Sphinx, strictly, and checks it.

Sphinx, MyST and Furo: all three have had releases within a year, Sphinx reports every link that leads nowhere, its
search is one file of the site that works from a disk, and Furo loads no font or script from elsewhere. MkDocs has had
no release since 1.6.1 of August 2024, Material for MkDocs is in maintenance mode since November 2025, Zensical is at
0.1.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rtp import __version__
from rtp.ops import manual

ROOT = Path(__file__).parents[1]
OF_PROJECT = ("CHANGELOG", "CONTRIBUTING", "SECURITY")
_TIMEOUT_S = 600
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]\[]*)\]\((?P<target>[^)\s]+)\)")
_HTML_IMAGE = re.compile(r'<img src="(?:docs/)?(?P<target>pictures/[^"]+)"(?: alt="(?P<alt>[^"]*)")?[^>]*>')
_LOADED = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\b(?:src|srcset)=[\"'](?P<source>(?:https?:)?//[^\"']+)"
    r"|<link\b(?=[^>]*\brel=[\"'](?:stylesheet|preload|preconnect|icon))[^>]*\bhref=[\"'](?P<link>(?:https?:)?//[^\"']+)"
)
_LOADED_BY_CSS = re.compile(r"(?:url\(|@import\s+)[\"']?(?P<source>(?:https?:)?//[^\"')]+)")
_DASHED = re.compile(r"(?<!\w)–[a-z][\w-]*")
_CONFIGURATION = f"""\
project = "rtp"
author = "the authors of rtp"
version = release = "{__version__}"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "rtp"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
myst_heading_anchors = 4
smartquotes = False  # would turn the two hyphens of an option into a dash
suppress_warnings = ["misc.highlighting_failure"]  # of examples with `…`
"""


class SiteError(Exception):
    """The site cannot be published: it loads something from elsewhere, lacks its search, or misspells options."""


def prepare(folder: Path) -> None:
    """Write Sphinx's source: the pages, an index with the four kinds, and the pages of the project."""
    (folder / "conf.py").write_text(_CONFIGURATION, encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        (folder / page.name).write_text(_rewritten(page.read_text(encoding="utf-8"), above="../"), encoding="utf-8")
    for name in OF_PROJECT:
        text = (ROOT / f"{name}.md").read_text(encoding="utf-8")
        (folder / f"{name}.md").write_text(_rewritten(text, above=""), encoding="utf-8")
    shutil.copytree(ROOT / "docs" / "pictures", folder / "pictures")
    (folder / "index.md").write_text(_index(), encoding="utf-8")


def _index() -> str:
    rows = ["# rtp", "", _introduction(), "", "![rtp status](pictures/status.svg)", ""]
    for kind in manual.Kind:
        topics = [topic for topic, page in manual.PAGES.items() if page.kind is kind]
        rows += [f"## {kind.value}", ""]
        rows += [f"- [{manual.PAGES[topic].summary}]({topic}.md)" for topic in topics]
        rows += ["", "```{toctree}", ":hidden:", f":caption: {kind.value}", "", *topics, "```", ""]
    rows += ["```{toctree}", ":hidden:", ":caption: Project", "", *OF_PROJECT, "```", ""]
    return "\n".join(rows)


def _introduction() -> str:
    """README's first paragraph."""
    return (ROOT / "README.md").read_text(encoding="utf-8").split("\n\n")[1]


def _rewritten(page: str, *, above: str) -> str:
    """A page whose links to pages lead to the site's, and whose links to other files of the repository are text."""

    def link(match: re.Match[str]) -> str:
        text, target = match["text"], match["target"]
        if match["image"] or "://" in target or target.startswith(("#", "mailto:")):
            return match[0]
        path, _, anchor = target.partition("#")
        inside = path.removeprefix(above) if above and path.startswith(above) else path
        inside = inside.removeprefix("docs/")
        is_page = inside.endswith(".md") and "/" not in inside and inside != "README.md"
        return f"[{text}]({inside}{'#' * bool(anchor)}{anchor})" if is_page else text

    page = _HTML_IMAGE.sub(lambda match: f"![{match['alt'] or ''}]({match['target']})", page)
    return _LINK.sub(link, page)


def check(site: Path) -> None:
    """Raise SiteError where a file loads from elsewhere (links may lead there), or a dash begins an option."""
    loaded = []
    for file in [*site.rglob("*.html"), *site.rglob("*.css"), *site.rglob("*.svg")]:
        pattern = _LOADED if file.suffix == ".html" else _LOADED_BY_CSS
        for match in pattern.finditer(file.read_text(encoding="utf-8")):
            loaded.append(f"{file.relative_to(site)}: {next(filter(None, match.groups()))}")
    if loaded:
        raise SiteError("The site loads from elsewhere: " + "; ".join(loaded[:10]))
    dashed = [
        f"{file.relative_to(site)}: {match[0]}"
        for file in site.rglob("*.html")
        for match in _DASHED.finditer(file.read_text(encoding="utf-8"))
    ]
    if dashed:
        raise SiteError("The site has a dash where an option has two hyphens: " + "; ".join(dashed[:10]))
    if not (site / "searchindex.js").exists():
        raise SiteError("The site has no index for its search.")


def main(argv: list[str]) -> int:
    """Build and check the site; 1 where something is wrong with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, help="interpreter of the environment that has Sphinx")
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "site")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="rtp-site-") as name:
        source = Path(name)
        prepare(source)
        shutil.rmtree(options.out, ignore_errors=True)
        strict = ["-m", "sphinx", "-q", "-b", "html", "--fail-on-warning", "-d", str(source / ".doctrees")]
        done = subprocess.run([options.python, *strict, str(source), str(options.out)], check=False, timeout=_TIMEOUT_S)
    if done.returncode:
        return 1
    try:
        check(options.out)
    except SiteError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{options.out / 'index.html'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
