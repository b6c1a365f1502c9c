"""Secrets stay where they are: one whole story with a marked one in every place, and then a search for the marks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from rtp.aws import api
from tests.local.events.conftest import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.conftest import Project

MARK = "canary4b1d"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": f"AKIA{MARK}",
    "AWS_SECRET_ACCESS_KEY": f"secret-{MARK}",
    "AWS_SESSION_TOKEN": f"session-{MARK}",
    "GITHUB_TOKEN": f"ghp_{MARK}",
    "DATABASE_URL": f"postgres://user:{MARK}@db/x",
}
BODY = "bodymark77c0"
PROCESSORS = """\
from rtp.runtime import Event, processor


@processor("boom")
def boom(event: Event) -> dict:
    raise RuntimeError("told to fail")
"""
SETTINGS = """\
[processors]
path = "processors.py"

[defaults]
max_receive_count = 2
backoff_base_s = 0
timeout_s = 10
"""
LOOKS = (
    ("status",),
    ("status", "--json"),
    ("outputs",),
    ("outputs", "--json"),
    ("alarms",),
    ("config", "--json"),
    ("doctor", "--json"),
    ("records",),
    ("logs",),
    ("logs", "--json"),
    ("traces",),
    ("diff",),
    ("local", "status"),
    ("local", "env"),
    ("local", "logs"),
    ("dlq", "inspect", "--query", "groups"),
    ("dlq", "redrive", "--all", "--no-canary", "--yes", "--query", "redriven"),
    ("send", "--type", "boom", "--data", "nonsense"),
    ("show", "no-such-event"),
    ("local", "status", "--json"),
    ("local", "start", "--json"),
    ("local", "logs", "-n", "1000"),
)


@pytest.mark.long  # tests/local/deploy/test_secrets.py asks the same of fewer commands
def test_no_secret_is_shown_logged_or_kept(project: Project, tmp_path: Path) -> None:
    # Given a project whose operator has secrets in the environment
    (project.root / "processors.py").write_text(PROCESSORS)
    (project.root / "rtp.toml").write_text(SETTINGS)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    env = {**ENVIRONMENT, "TMPDIR": str(scratch)}
    told: dict[str, str] = {}

    def rtp(*arguments: str, ok: bool = True) -> str:
        done = project.rtp(*arguments, env=env, ok=ok)
        told[" ".join(arguments)] = done.stdout + done.stderr
        return done.stdout

    # When everything is done once, and looked at as people and as scripts do
    rtp("deploy", "--yes")
    key = api.key(project.aws, project.outputs).value
    of_the_engine = (project.engine.token, *project.engine.keys)
    sent = json.loads(rtp("send", "--type", "boom", "--data", json.dumps({"x": BODY}), "--via", "events", "--json"))
    wait_for(lambda: json.loads(rtp("dlq", "inspect", "--json"))["depth"] == 1)
    told.pop("dlq inspect --json")  # it shows bodies, as was asked
    for look in LOOKS:
        rtp(*look, ok=False)
    rtp("traces", "show", sent["id"], ok=False)
    kept = {str(f.relative_to(project.root)): f.read_bytes() for f in _files(project.root)}
    rtp("destroy", "--yes")

    # Then none of it is in what was said, nor in any file but the engine's own; `local env` is there to say the key
    said = {name: text.encode() for name, text in told.items()}
    assert all(secret.encode() in said["local env"] for secret in project.engine.keys)
    for secret in project.engine.keys:
        said["local env"] = said["local env"].replace(secret.encode(), b"")
    for secret in (MARK, key, *of_the_engine):
        assert [name for name, text in said.items() if secret.encode() in text] == []
    found = {
        secret: [
            n for n, content in kept.items() if secret.encode() in content and not n.startswith(".rtp/local/data/")
        ]
        for secret in (MARK, key, *of_the_engine, BODY)
    }
    # The redrive's journal has the message: in rtp's own bucket, which is the engine's, under the stack's key.
    (journal,) = found.pop(BODY)
    assert journal.startswith(".rtp/local/live/s3/") and "/journals/" in journal and journal.endswith(".jsonl")
    assert found == {MARK: [], key: [], **{secret: [".rtp/local/engine.json"] for secret in of_the_engine}}
    # Nor is a payload in any log or list
    assert [name for name, text in said.items() if BODY.encode() in text and not name.startswith("send")] == []
    assert [f for f in _files(scratch) if MARK.encode() in f.read_bytes()] == []


def _files(root: Path) -> list[Path]:
    return [f for f in root.rglob("*") if f.is_file() and not f.is_symlink()]
