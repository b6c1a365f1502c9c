"""The site's source: every page in its kind, links that stay inside, and a check of what loads from elsewhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from checks import site
from rtp.ops import manual

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    site.prepare(folder)
    return folder


def test_the_index_has_every_page_under_its_kind(source: Path) -> None:
    index = (source / "index.md").read_text()
    for kind in manual.Kind:
        tree = re.search(rf"```{{toctree}}\n:hidden:\n:caption: {kind.value}\n\n(.*?)\n```", index, re.DOTALL)
        assert tree is not None
        assert tree[1].split("\n") == [topic for topic, page in manual.PAGES.items() if page.kind is kind]
    assert index.startswith("# rtp\n\nDeploy, ")


def test_every_link_of_the_source_is_a_page_or_an_address(source: Path) -> None:
    wrong = []
    for page in source.glob("*.md"):
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if "://" not in target and not (source / (target.split("#")[0] or page.name)).exists():
                wrong.append(f"{page.name}: {target}")
    assert wrong == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.html", '<link rel="stylesheet" href="https://fonts.example/css">'),
        ("a.html", '<link href="//fonts.example/css" rel="preload">'),
        ("a.html", '<script async src="https://cdn.example/x.js"></script>'),
        ("a.html", "<img alt='' src='https://example.com/x.png'>"),
        ("a.css", "@font-face { src: url('https://fonts.example/x.woff2') }"),
        ("a.css", '@import "//fonts.example/x.css"'),
    ],
)
def test_the_check_notices_what_loads_from_elsewhere(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / "searchindex.js").write_text("")
    (tmp_path / file).write_text(text)
    with pytest.raises(site.SiteError, match="example"):
        site.check(tmp_path)


def test_links_that_a_reader_follows_are_allowed(tmp_path: Path) -> None:
    (tmp_path / "searchindex.js").write_text("")
    (tmp_path / "a.html").write_text(
        '<a href="https://docs.aws.amazon.com/">AWS</a><script src="_static/x.js"></script>'
    )
    site.check(tmp_path)


def test_a_site_without_a_search_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(site.SiteError, match="search"):
        site.check(tmp_path)


def test_an_option_whose_hyphens_became_a_dash_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "searchindex.js").write_text("")
    (tmp_path / "a.html").write_text("<td>With \N{EN DASH}query: print strings</td>", encoding="utf-8")
    with pytest.raises(site.SiteError, match="query"):
        site.check(tmp_path)
