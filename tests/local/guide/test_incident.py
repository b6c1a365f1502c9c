"""An incident with four commands: the cause, the proof of the correction, its deploy, and the repair."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.local.watch.conftest import until

if TYPE_CHECKING:
    from tests.local.conftest import Project

SETTINGS = """\
project = "shop"

[processors]
path = "processors.py"
[env.local]
max_receive_count = 2
backoff_base_s = 0
"""
GOOD = """\
from rtp.runtime import Event, processor

RATES = {"EUR": 1, "JPY": 160}


@processor("order.created")
def price(event: Event) -> dict:
    return {"cents": round(event.data["total"] * 100 / RATES[event.data["currency"]])}
"""
POISONED = GOOD.replace(', "JPY": 160', "")
EVENTS, DEAD = 50, 20


def git(project: Project, *words: str) -> None:
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
    subprocess.run(["git", *who, *words], cwd=project.root, check=True, capture_output=True)


@pytest.fixture
def red(project: Project) -> Project:
    """A pipeline whose last release fails for one currency: 20 of 50 events are dead."""
    (project.root / "rtp.toml").write_text(SETTINGS)
    (project.root / "processors.py").write_text(GOOD)
    git(project, "init", "-q")
    (project.root / ".gitignore").write_text(".rtp\n")
    git(project, "add", ".")
    git(project, "commit", "-qm", "Add the pipeline")
    project.rtp("deploy", "--yes")
    (project.root / "processors.py").write_text(POISONED)
    git(project, "commit", "-qam", "Drop a currency")
    project.rtp("deploy", "--yes", "-m", "fewer currencies")
    lines = [
        json.dumps({"type": "order.created", "data": {"total": n, "currency": "JPY" if n < DEAD else "EUR"}})
        for n in range(EVENTS)
    ]
    (project.root / "orders.ndjson").write_text("\n".join(lines))
    project.rtp("send", "orders.ndjson", "--via", "events", "--wait", ok=False)
    return project


def test_an_incident_takes_four_commands_from_red_to_all_processed(red: Project) -> None:
    # 1. The cause, the release that brought it, and the line, off one screen
    counted = f"{DEAD} failures ({DEAD} dead, 0 waiting), 40 % of the type's events in 24h"
    screen = until(lambda: text if counted in (text := red.rtp("triage").stdout) else "")  # metrics come late
    (group,) = re.findall(r"^([0-9a-f]{8})  new  order\.created  KeyError: 'JPY'", screen, re.M)
    assert re.search(r"→ 8 +return .*RATES\[event", screen) and "fewer currencies" in screen
    (number,) = re.findall(r"since release (r\d+),", screen)
    (release,) = re.findall(rf"release {number} \(([0-9a-f]{{12}})", screen)
    assert screen.index(release) < screen.index("since release")  # the newest deploy is the one that brought it
    assert f"rtp rehearse --group={group}" in screen

    # (git's commit of the release is beside its number)
    assert re.search(rf"release {number} \({release}, commit [0-9a-f]{{10}}\)", screen)

    compared = red.rtp("triage", "show", group, "--compare").stdout
    assert re.search(r'data\.currency +"JPY" +100% +0%', compared)
    assert f"What {DEAD} failed events have that {EVENTS - DEAD} processed events have not" in compared

    assert red.rtp("triage", "--fail-on", "new,regressed", ok=False).code == 1

    suspects = red.rtp("triage", "show", group, "--suspect", "--json").json["suspects"]
    assert [(c["author"], c["subject"]) for c in suspects["commits"]] == [("Ann", "Drop a currency")]
    assert suspects["notes"] == [] and release in suspects["bad"]

    # 2. The code as it is fails again; the corrected code is proven on the dead events, and nothing is stored
    unchanged = red.rtp("rehearse", "--group", group, ok=False)
    assert unchanged.code == 1
    (red.root / "processors.py").write_text(GOOD)
    proof = red.rtp("rehearse", "--group", group)
    assert re.search(rf"{DEAD}\b.*now processed|now processed\D*{DEAD}\b", proof.stdout), proof.stdout
    assert len(red.rtp("records", "--status", "dead", "--limit", "100", "--json").json["records"]) == DEAD

    # 3. The correction
    red.rtp("deploy", "--hotswap", "--yes")
    assert re.search(r"commit [0-9a-f]{10}-dirty", red.rtp("status").stdout)  # the correction is in no commit yet

    # 4. The repair, one message first
    done = red.rtp("dlq", "redrive", "--group", group, "--canary", "--wait", "--yes").stdout
    assert re.search(rf"{DEAD}\b", done)
    records = red.rtp("records", "--status", "processed", "--limit", "100", "--json").json["records"]
    assert len(records) == EVENTS
    assert (
        red.rtp("triage").stdout.startswith("triage local: nothing is red")
        or "0 open groups" in red.rtp("triage").stdout
    )
