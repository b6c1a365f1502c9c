"""A team's own code: what stands beside the processors goes with them, and what passes the check works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.local.conftest import Project

if TYPE_CHECKING:
    from collections.abc import Iterator
pytestmark = pytest.mark.xdist_group("own-code")  # the tests share a project

PROCESSORS = """\
import os
from pathlib import Path

import boto3

from money import cents
from rtp.runtime import Event, processor
from shop.rates import rate

QUEUES = boto3.client("sqs")
HOME = Path(__file__).parent / "data" / "home.txt"


@processor("invoice.paid")
def paid(event: Event) -> dict:
    return {
        "cents": cents(event.data["amount"]),
        "rate": rate("DE"),
        "partner": os.environ["PARTNER_URL"],
        "home": HOME.read_text(),
        "region": QUEUES.meta.region_name,
    }
"""
FILES = {
    "processors.py": PROCESSORS,
    "money.py": "def cents(amount):\n    return round(amount * 100)\n",
    "shop/__init__.py": "",
    "shop/rates.py": (
        "import json\nfrom pathlib import Path\n\n\ndef rate(country):\n"
        "    return json.loads((Path(__file__).parent / 'linked' / 'rates.json').read_text())[country]\n"
    ),
    "common/rates.json": '{"DE": 19}',
    "data/home.txt": "here",
    "rtp.toml": (
        'project = "own"\n[processors]\npath = "processors.py"\n'
        '[defaults]\nregion = "eu-west-1"\nenvironment = { PARTNER_URL = "https://default.example" }\n'
        '[env.local]\nenvironment = { PARTNER_URL = "https://partner.example", OTHER = "x" }\n'
    ),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = Project(tmp_path_factory.mktemp("own"))
    for name, text in FILES.items():
        file = project.root / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    (project.root / "shop" / "linked").symlink_to(project.root / "common", target_is_directory=True)
    try:
        yield project
    finally:
        project.rtp("local", "stop", ok=False)


def result(project: Project, data: str) -> dict[str, Any]:
    """What the deployed processor returns for an invoice."""
    sent = project.rtp("send", "--type", "invoice.paid", "--data", data, "--wait", "--json").json
    return dict(project.rtp("show", sent["id"], "--json").json["record"]["result"])


def test_modules_packages_links_data_and_variables_work_as_they_were_checked(project: Project) -> None:
    # When it is deployed from a shell whose own variables are others
    project.rtp("deploy", "--yes", env={"PARTNER_URL": "https://shell.example"})
    # Then the functions have all that the project says, and nothing of the shell
    expected = {
        "cents": 1250,
        "rate": 19,
        "partner": "https://partner.example",
        "home": "here",
        "region": "eu-west-1",
    }
    assert result(project, '{"amount": 12.5}') == expected
    # And so has `rtp run`
    ran = project.rtp("run", "--type", "invoice.paid", "--data", '{"amount": 12.5}', "--json").json
    assert ran["result"] == expected


def test_run_does_not_find_what_is_not_packed(project: Project) -> None:
    (project.root / "rtp.toml").write_text(
        FILES["rtp.toml"].replace("[processors]\n", '[processors]\nexclude = ["money.py"]\n')
    )
    try:
        ran = project.rtp("run", "--type", "invoice.paid", "--data", '{"amount": 1}', ok=False)
    finally:
        (project.root / "rtp.toml").write_text(FILES["rtp.toml"])
    assert ran.code == 3
    assert "processors.py:6: ModuleNotFoundError: No module named 'money'" in ran.stderr


@pytest.mark.long
def test_another_value_of_a_variable_is_a_change(project: Project) -> None:
    text = FILES["rtp.toml"].replace("partner.example", "other.example")
    (project.root / "rtp.toml").write_text(text)
    project.rtp("deploy", "--yes")
    assert result(project, '{"amount": 1}')["partner"] == "https://other.example"


def test_the_contents_of_the_functions_are_listed(project: Project) -> None:
    contents = project.rtp("processors", "--json").json
    (declared,) = contents["processors"]
    assert (declared["type"], declared["function"], declared["is_async"]) == ("invoice.paid", "paid", False)
    assert declared["where"].startswith(f"{project.root / 'processors.py'}:")
    packed = {file["path"] for file in contents["files"]}
    assert packed == {
        "processors.py",
        "money.py",
        "shop/__init__.py",
        "shop/rates.py",
        "shop/linked/rates.json",
        "data/home.txt",
    }
    assert "msgspec" in {package["name"] for package in contents["packages"]}
    assert contents["environment"]["OTHER"] == "x"
    assert contents["unchecked"] == ""
    # And for people
    text = project.rtp("processors").stdout
    assert "invoice.paid" in text and "shop/linked/rates.json" in text and "PARTNER_URL" in text
