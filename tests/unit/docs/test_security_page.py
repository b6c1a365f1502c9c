"""What the pages say about who may do what, what is not protected, and what an installation is made of."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
SECURITY = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def section(page: str, title: str) -> str:
    """The text below a heading, up to the next one of its level."""
    level = next(line for line in page.splitlines() if line.endswith(f"# {title}")).split(" ")[0]
    return re.split(rf"^#{{1,{len(level)}}} ", page.split(f"\n{level} {title}\n")[1], flags=re.MULTILINE)[0]


def test_each_way_to_keep_clients_out_has_what_it_protects_from_and_what_not() -> None:
    rows = [row.split(" | ") for row in section(SECURITY, "Who may send events").splitlines() if row.startswith("| ")]
    rows = [row for row in rows if "---" not in row]
    (_, *protections), *rest = rows
    assert [title.strip(" |") for title in protections] == ["protects from", "does not protect from"]
    text = "".join(row[0] for row in rest)
    assert all(name in text for name in ("API key", "`allowed_cidrs`", '`auth = "iam"`', "`waf_acl_arn`"))
    assert all(len(cell) > 20 for row in rest for cell in row[1:])


def test_the_model_says_what_is_trusted_and_what_is_not() -> None:
    whole = section(SECURITY, "What is not protected")
    for name in ("Root", "Code that you trust", "rtp.toml", "deployer's policy", "content of events", "local engine"):
        assert name in whole
    for title in ("The folder .rtp", "Endpoints", "Keys", "What the stack's parts may do", "What rtp is made of"):
        assert section(SECURITY, title).strip()


def test_the_end_of_the_x_ray_sdk_and_what_follows_is_on_the_page_about_traces() -> None:
    text = section((ROOT / "docs" / "traces.md").read_text(encoding="utf-8"), "The X-Ray SDK ends on 2027-02-25")
    assert "OpenTelemetry" in text and "rtp/runtime/tracing.py" in text
    # And it is one module that knows the SDK
    users = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "rtp").rglob("*.py"))
        if re.search(r"^\s*(?:from|import) aws_xray_sdk", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert users == ["rtp/runtime/xray.py"]


def test_the_readme_says_how_rtp_gets_an_environment_of_its_own() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for advice in ("pipx install 'realtime-processor[local]'", "uvx --from 'realtime-processor[local]'"):
        assert advice in text
    assert "(SECURITY.md)" in text and "report" in (ROOT / "SECURITY.md").read_text(encoding="utf-8").lower()
