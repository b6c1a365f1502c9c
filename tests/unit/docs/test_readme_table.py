"""README's comparison: every cell links to what shows it, and is not claimed alone. And the issue templates."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.manual_blocks import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.split("## Next to SAM")[1].split("\n## ")[0]
OWN = (
    "https://docs.aws.amazon.com/",
    "https://github.com/aws/",
    "https://www.serverless.com/",
    "https://github.com/serverless/",
    "https://sst.dev/",
    "https://github.com/sst/",
)
SOURCES = dict(re.findall(r"^\[([\w-]+)\]: (\S+)$", SECTION, re.MULTILINE))


def table() -> list[list[str]]:
    rows = [line for line in SECTION.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def test_every_cell_links_to_a_test_a_page_or_a_source() -> None:
    header, _, *rows = table()
    assert [name.strip("| ") for name in header][-4:] == ["SAM", "CDK", "Serverless Framework", "SST"]
    for row in rows:
        assert len(row) == 6
        target = re.search(r"\]\(([^)]+)\)", row[1])
        assert target, row[1]
        assert (ROOT / target[1].split("#")[0]).exists(), row[1]
        for cell in row[2:]:
            source = re.search(r"\]\[([\w-]+)\]", cell)
            assert source, cell
            assert source[1] in SOURCES, cell


def test_every_source_is_used_and_is_the_makers_own() -> None:
    used = set(re.findall(r"\]\[([\w-]+)\]", SECTION))
    assert used == set(SOURCES)
    assert [url for url in SOURCES.values() if not url.startswith(OWN)] == []


def test_readme_begins_with_what_it_is_a_picture_and_two_commands() -> None:
    parts = README.split("\n\n")
    assert len(parts[1].splitlines()) == 3
    assert parts[2].startswith("![")
    block = README.split("## Two commands")[1].split("```")[1]
    assert block.count("$ ") == 2


def test_the_issue_templates_have_the_schema_of_github() -> None:
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert [form.stem for form in forms] == ["bug", "config", "idea", "lost-event"]
    files = [str(form) for form in forms if form.stem != "config"]
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-issue-forms", *files]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
