"""The files that `rtp init` writes: a project that can be deployed and tested without a change."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.config import DEFAULT_PROJECT
from rtp.errors import ConfigError
from rtp.ops import files

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
# Environments of this pipeline. `rtp config -e NAME` shows every setting of one, with its value and origin.
project = "{project}"
owner = "DataTeam"
default_env = "local"

[processors]
path = "processors.py"
# requirements = "requirements.txt"    # packages that your processors import; they go into the Lambda layer

[defaults]
region = "us-east-1"
# environment = { PARTNER_URL = "https://partner.example" }    # variables of the functions
# secrets = ["PARTNER_TOKEN"]                                  # set one with: rtp secrets set PARTNER_TOKEN

[env.dev]
# account = "111122223333"             # deploys are refused with credentials of another account
# profile = "dev"

[env.prod]
protected = true                       # typed confirmations; data outlives the stack
# account = "444455556666"
# profile = "prod"
# alarm_emails = ["oncall@example.com"]
"""

PROCESSORS = '''\
"""What happens to each type of event. An event whose type has no processor is stored unchanged."""

from rtp.runtime import Event, Reject, processor


@processor("order.created")
def price(event: Event) -> dict[str, int]:
    """The return value is stored as the result in the event's record.

    Reject is final: the event goes to the dead-letter queue with this reason.
    After any other exception the event is retried, with growing pauses, before it goes there.
    """
    total = event.data["total"]
    if total < 0:
        raise Reject("negative total")
    return {"total_cents": round(total * 100)}
'''

ORDER = """\
{
  "type": "order.created",
  "data": {"order": "A-1001", "total": 12.50}
}
"""

REJECTED = """\
{
  "type": "order.created",
  "data": {"order": "A-1002", "total": -1}
}
"""

TEST = '''\
"""Processors are plain functions. rtp.runtime.testing runs them as the worker does, without AWS."""

import pytest

from processors import price
from rtp.runtime import Reject
from rtp.runtime.testing import event


def test_a_total_becomes_cents() -> None:
    assert price(event("order.created", {"total": 12.50})) == {"total_cents": 1250}


def test_a_negative_total_is_rejected() -> None:
    with pytest.raises(Reject, match="negative total"):
        price(event("order.created", {"total": -1}))
'''

TOOLS = """\
[tool.mypy]
strict = true

[tool.pyright]
typeCheckingMode = "strict"
"""

CI = """\
# Checks every commit: types, tests, what would be deployed, and the pipeline on the embedded engine.
# Needs no AWS account.
name: ci
on: [push, pull_request]
permissions:
  contents: read
jobs:
  check:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - uses: actions/setup-python@v6
        with:
          python-version: "3.13"
      - run: pip install 'realtime-processor[local]' mypy pyright pytest
      - run: mypy .            # strict, as set in pyproject.toml; a new project passes
      - run: pyright           # the same
      - run: pytest
      - run: rtp processors
      - run: rtp deploy --env local --yes
      - run: rtp send --env local --wait payloads/order.json
      - run: rtp destroy --env local --yes
"""

FILES = {
    "rtp.toml": CONFIG,
    "processors.py": PROCESSORS,
    "payloads/order.json": ORDER,
    "payloads/rejected.json": REJECTED,
    "tests/test_processors.py": TEST,
    "conftest.py": '"""With this file here, pytest finds processors.py."""\n',
    "pyproject.toml": TOOLS,
    ".github/workflows/ci.yml": CI,
    ".gitignore": ".rtp/\n.env*\n__pycache__/\n",
}


@dataclass(frozen=True, slots=True)
class Scaffold:
    """What `rtp init` wrote.

    folder: where. project: name of the project. written: new files, below the folder.
    kept: files that were there and are as they were, below the folder.
    """

    folder: Path
    project: str
    written: list[str]
    kept: list[str]


def write(folder: Path) -> Scaffold:
    """Write the project's files; existing ones are kept. Raises ConfigError."""
    project = project_name(folder.resolve().name)
    written: list[str] = []
    kept: list[str] = []
    try:
        for name, content in FILES.items():
            path = folder / name
            _make_folder(path.parent)
            text = content.replace("{project}", project) if name == "rtp.toml" else content
            (written if files.create(path, text) else kept).append(name)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or folder} cannot be written: {error.strerror}.",
            hint="Choose another folder.",
            code="file-not-writable",
        ) from None
    return Scaffold(folder.resolve(), project, written, kept)


def _make_folder(folder: Path) -> None:
    """Create a folder and those above it, which no other user can write, whatever the umask is. Raises OSError."""
    for each in reversed((folder, *folder.parents)):
        if not each.exists():
            each.mkdir()
            each.chmod(each.stat().st_mode & 0o755)


def project_name(folder: str) -> str:
    """A name that AWS accepts for resources, from a folder's name; the default where no character of it is usable."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.lower()).lstrip("-0123456789")[:20].rstrip("-")
    return name or DEFAULT_PROJECT
