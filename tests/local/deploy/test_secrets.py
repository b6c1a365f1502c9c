"""Secrets from their first declaration to the destroy, by the commands; the values are seen by the processor alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.local.events.conftest import wait_for

if TYPE_CHECKING:
    from tests.local.conftest import Project

VALUE, SEEDED = "hunter2-canary", "seeded-canary"
PROCESSORS = """\
from rtp.runtime import Event, processor, secret


@processor("use")
def use(event: Event) -> dict:
    print("with", secret("TOKEN"))
    return {"token": len(secret("TOKEN")), "db": len(secret("DB"))}


@processor("leak")
def leak(event: Event) -> dict:
    raise RuntimeError(f"401 for {secret('TOKEN')}")
"""
SETTINGS = """\
project = "vault"
[processors]
path = "processors.py"
[defaults]
max_receive_count = 2
backoff_base_s = 0
secrets = ["TOKEN"]
[env.local]
secrets = { DB = "secretsmanager:team/db#password" }
"""


def test_a_secret_from_its_declaration_to_the_destroy(project: Project) -> None:
    (project.root / "processors.py").write_text(PROCESSORS)
    (project.root / "rtp.toml").write_text(SETTINGS)
    (project.root / ".env.local").write_text(f"DB={SEEDED}\nUNDECLARED=x\n")
    shown: list[str] = []

    def rtp(*arguments: str, stdin: str = "", ok: bool = True) -> str:
        done = project.rtp(*arguments, stdin=stdin, ok=ok)
        shown.append(done.stdout + done.stderr)
        return done.stdout

    # Given a deploy that is refused, because a value is missing, before anything is created
    refused = project.rtp("deploy", "--yes", ok=False)
    assert refused.code == 3
    assert "vault-local has no value for TOKEN; nothing was deployed" in refused.stderr
    assert "rtp secrets set TOKEN" in refused.stderr
    assert project.rtp("outputs", ok=False).code == 4
    # When it is set from stdin, and the other one comes from .env.local
    argued = project.rtp("secrets", "set", "TOKEN", VALUE, ok=False)
    assert argued.code == 2 and VALUE not in argued.stderr
    rtp("secrets", "set", "TOKEN", stdin=f"{VALUE}\n")
    (entry, *_) = json.loads(rtp("history", "--json"))["entries"]
    assert (entry["command"], entry["arguments"], entry["outcome"]) == ("secrets set", {"name": "TOKEN"}, "succeeded")
    rtp("deploy", "--yes")
    # Then events use both
    sent = json.loads(rtp("send", "--type", "use", "--data", "{}", "--wait", "--json"))
    assert sent["record"]["result"] == {"token": len(VALUE), "db": len(SEEDED)}
    # And one that leaks it into an exception ends with a record, a log and a trace that do not show it
    leak = json.loads(rtp("send", "--type", "leak", "--data", "{}", "--via", "events", "--json"))["id"]
    wait_for(lambda: (project.rtp("show", leak, "--json", ok=False).json.get("record") or {}).get("status") == "dead")
    assert "401 for ***" in rtp("show", leak)
    for look in (("logs",), ("records",), ("traces", "show", leak, "--json"), ("dlq", "inspect"), ("processors",)):
        rtp(*look)
    rtp("status", "--json", ok=False)
    listed = {s["name"]: s for s in json.loads(rtp("secrets", "list", "--json"))["secrets"]}
    assert {name: one["state"] for name, one in listed.items()} == {"TOKEN": "set", "DB": "set"}
    # And one that is a member of a secret is changed there, for the functions that start from then on
    rtp("secrets", "set", "DB", stdin=f"{SEEDED}-changed\n")
    # And after a stop it is in the engine's own files alone, which only their owner can read
    rtp("local", "stop")
    holders = [f for f in project.root.rglob("*") if f.is_file() and VALUE.encode() in f.read_bytes()]
    assert {f.relative_to(project.root).parts[:3] for f in holders} == {(".rtp", "local", "data")}
    assert {f.stat().st_mode & 0o077 for f in holders} == {0}
    rtp("local", "start")
    again = json.loads(rtp("send", "--type", "use", "--data", "{}", "--wait", "--json"))
    assert again["record"]["result"] == {"token": len(VALUE), "db": len(f"{SEEDED}-changed")}
    assert [text for text in shown if VALUE in text or SEEDED in text] == []
    # And a destroy lists the own one, deletes it, and proves it
    lines = project.rtp("destroy", "--yes", "--json").lines
    (plan,) = (line for line in lines if line["type"] == "plan")
    assert "/vault/local/TOKEN" in {item["name"] for item in plan["goes"] if item["kind"] == "secret"}
    (proof,) = (line for line in lines if line["type"] == "proof")
    assert not [item for item in proof["left"] if item["kind"] == "secret"]
    states = {s["name"]: s["state"] for s in project.rtp("secrets", "list", "--json").json["secrets"]}
    assert states == {"TOKEN": "missing", "DB": "set"}  # the team's own stays
