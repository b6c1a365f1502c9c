"""CONTRIBUTING.md names files that exist, or that a recipe creates."""

from __future__ import annotations

import re
from pathlib import Path

from checks import install

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_every_path_on_the_page_exists_unless_it_is_new() -> None:
    paths = re.findall(r"`((?:rtp|tests|docs|bench|checks)/[\w./-]*)`( \(new\))?", PAGE)
    assert [path for path, new in paths if (ROOT / path).exists() == bool(new)] == []


def test_a_release_builds_checks_installs_and_uses_what_it_publishes() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    release = makefile[makefile.index("\nrelease:") : makefile.index("\ndocs:")]
    assert "checks.sbom dist/" in release and "checks.install --dist dist --twine" in release
    assert install.VERSIONS == ("3.11", "3.12", "3.13") and install.INSTALLERS == ("pip", "pipx", "uv")
    checklist = PAGE[PAGE.index("\n## Releases") :]
    assert checklist.count("- [ ] ") >= 8 and "`make release`" in checklist


def test_every_name_in_the_table_of_places_is_in_its_file() -> None:
    for name, path in re.findall(r"`(\w+)` in (?:`)(rtp/[\w./-]+\.py)`", PAGE):
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text(encoding="utf-8")), (name, path)


def test_what_make_test_leaves_out_other_targets_run() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    def runs(target: str) -> str:
        return makefile.partition(f"\n{target}:")[2].partition("\n\n")[0]

    assert '-m "not reliability and not long and not network"' in runs("test")
    assert '-m "long and not reliability"' in runs("test-long")
    assert '-m "reliability or long"' in runs("reliability")
    assert "`make test-long`" in PAGE
