"""The files of a new project that do not depend on its example: settings, checks of every commit, a README."""

from __future__ import annotations

CONFIG = """\
# Environments of this pipeline. `rtp config -e NAME` shows every setting of one, with its value and origin.
project = "{project}"
owner = "DataTeam"
default_env = "local"

[processors]
path = "{path}"
{requirements}

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
# alarm_causes = true                  # and a mail with cause, release and command when events die
"""

NO_REQUIREMENTS = (
    '# requirements = "requirements.txt"    # packages that your processors import; they go into the Lambda layer'
)

README = """\
# {project}

An event pipeline on AWS, deployed and operated with rtp, the package realtime-processor.

| to | run |
| --- | --- |
| test the processors | `rtp test` |
| deploy to this machine, no AWS account needed | `rtp deploy` |
| deploy again at each save | `rtp deploy --watch` |
| send an event | `rtp send payloads/{payload}.json --wait` |
| see whether all is well | `rtp status` |
| see why events failed, and process them again | `rtp dlq inspect`, `rtp dlq redrive --all` |
| deploy to AWS | `rtp doctor --env dev`, `rtp bootstrap --env dev` once, `rtp deploy --env dev` |

`processors.py` has a function for each type of event, `tests/` its tests, `rtp.toml` the environments and their
settings, and `payloads/` events to send. `.github/workflows/ci.yml` checks every commit. `rtp help` lists all commands.
"""

# pytest takes the settings of the first such table above the tests: without one here, those of a folder above.
TOOLS = """\
[tool.pytest.ini_options]
testpaths = ["tests"]

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
      - run: rtp test
      - run: rtp processors
      - run: rtp deploy --env local --yes
      - run: rtp send --env local --wait payloads/{payload}.json
      - run: rtp destroy --env local --yes
"""

IGNORED = (".rtp/", ".env*", "__pycache__/")
CONFTEST = '"""With this file here, pytest finds processors.py."""\n'


def config(project: str, path: str, requirements: str | None) -> str:
    """Text of rtp.toml. requirements: the file that lists the code's packages, if any."""
    line = NO_REQUIREMENTS if requirements is None else f'requirements = "{requirements}"'
    return _filled(CONFIG, project=project, path=path, requirements=line)


def ci(payload: str | None) -> str:
    """Text of the workflow. payload: name of the event that it sends; None for none."""
    if payload is None:
        return "".join(line for line in CI.splitlines(keepends=True) if "{payload}" not in line)
    return _filled(CI, payload=payload)


def readme(project: str, payload: str) -> str:
    """Text of README.md."""
    return _filled(README, project=project, payload=payload)


def _filled(text: str, **values: str) -> str:
    """A text with its placeholders replaced; other braces stay."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text
