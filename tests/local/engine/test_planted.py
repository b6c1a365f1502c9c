"""What another program put where rtp reads: each is named, nothing waits at it, and the rest is used."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from rtp.aws import history_objects, own_bucket

if TYPE_CHECKING:
    from tests.local.conftest import Project

ENTRY = {"command": "destroy", "outcome": "succeeded", "exit_code": 0, "duration_s": 1, "arguments": {"yes": True}}


@pytest.fixture
def planted(project: Project) -> Project:
    """A project with a running engine and rtp's own bucket."""
    (project.root / "rtp.toml").write_text('project = "shop"\n')
    project.rtp("local", "start")
    own_bucket.create(project.aws)
    return project


def test_a_history_with_forged_objects_lists_the_others(planted: Project) -> None:
    # Given one entry, and objects under keys of entries that rtp did not write
    aws, prefix = planted.aws, history_objects.prefix("shop", "local")
    bodies = {
        "good": json.dumps(ENTRY),
        "bad0": "no JSON",
        "bad1": json.dumps({**ENTRY, "duration_s": 0}).replace('"duration_s": 0', '"duration_s": 1e999'),
        "bad2": json.dumps({**ENTRY, "exit_code": 10**300}),
        "bad3": "[" * 50_000,
        "bad4": json.dumps({**ENTRY, "command": None}),
    }
    for number, (run, body) in enumerate(bodies.items()):
        key = history_objects.Key(prefix, 1_700_000_000_000 + number, run, history_objects.END).text
        aws.call("s3", "put_object", Bucket=own_bucket.name(aws), Key=key, Body=body.encode())
    # When, Then
    listed = planted.rtp("history", "--json")
    assert [entry["run"] for entry in listed.json["entries"]] == ["good"]
    assert len(listed.json["unreadable"]) == 5
    assert "warning: 5 objects are no entries of rtp" in listed.stderr and "bad4.b-end.json" in listed.stderr
    assert "destroy" in planted.rtp("history").stdout
    shown = planted.rtp("history", "show", "bad1", "--json", ok=False)
    assert shown.code == 1 and shown.json["error"]["code"] == "unreadable-entry"


def test_a_pipe_among_the_shown_ids_and_the_engine_s_files_holds_nobody_up(planted: Project) -> None:
    state = planted.root / ".rtp"
    (state / "shown").mkdir(mode=0o700, exist_ok=True)
    pipe = state / "shown" / "shop-local.json"
    os.mkfifo(pipe)
    refused = planted.rtp("history", ok=False)
    assert refused.code == 5 and f"rm {pipe}" in refused.stderr.replace("rm -r", "rm")
    pipe.unlink()
    os.mkfifo(state / "local" / "restored")
    refused = planted.rtp("local", "status", ok=False)
    assert refused.code == 5 and "is neither a file nor a folder" in refused.stderr
    (state / "local" / "restored").unlink()
