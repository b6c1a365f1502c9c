"""The release of the running code is on the attempt, the record, each line, and in metrics as a property."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rtp.runtime import boot, logs, settings, wire
from tests.unit.runtime import fakes
from tests.unit.runtime.fakes import message, world

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

RELEASE = "0123456789ab"


def test_each_attempt_has_the_release_that_ran_it_and_the_record_that_of_the_last() -> None:
    first, second = world(release=RELEASE), world(release="ba9876543210")
    assert (first.runtime.settings.release, second.runtime.settings.release) == (RELEASE, "ba9876543210")

    def fail(_: object) -> None:
        raise ValueError("no")

    first.processor("t", fail)
    first.deliver(message(fakes.event()))

    record = first.dynamo.record("e1")
    assert record["release"] == RELEASE
    assert [attempt["release"] for attempt in record["attempts"]] == [RELEASE]


def test_where_two_releases_run_at_once_each_attempt_has_its_own() -> None:
    here = world(release=RELEASE)

    def fail(_: object) -> None:
        raise ValueError("no")

    here.processor("t", fail)
    clients = {"dynamodb": here.dynamo, "s3": here.s3, "sqs": here.sqs}
    settings = here.runtime.settings._replace(release="ba9876543210")
    canary = boot.assemble(settings, here.registry, clients, io=fakes.IO, clock=lambda: here.time[0])
    for number, runtime in enumerate((here.runtime, canary, here.runtime), 1):
        fakes.World(runtime, here.dynamo, here.s3, here.sqs, here.registry, here.time).deliver(
            message(fakes.event(), receives=number)
        )
    record = here.dynamo.record("e1")
    assert [attempt["release"] for attempt in record["attempts"]] == [RELEASE, "ba9876543210", RELEASE]
    assert record["release"] == RELEASE


def test_an_event_without_a_processor_has_the_release_too() -> None:
    here = world(release=RELEASE)
    here.deliver(message(fakes.event(type="unknown")))
    record = here.dynamo.record("e1")
    assert (record["release"], record["attempts"][0]["release"]) == (RELEASE, RELEASE)


def test_lines_and_metrics_name_the_release_and_no_dimension_does(capsys: pytest.CaptureFixture[str]) -> None:
    here = world(release=RELEASE)
    here.processor("t", lambda _: None)
    logs.set_level("INFO")
    logs.set_release(RELEASE)
    try:
        here.deliver(message(fakes.event()))
    finally:
        logs.set_release("")
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines() if text.startswith("{")]
    assert len(lines) >= 3
    assert {line["release"] for line in lines} == {RELEASE}
    (metrics,) = [line for line in lines if "_aws" in line]
    assert "release" not in json.dumps(metrics["_aws"])


def test_the_release_is_read_out_of_the_packed_code(tmp_path: Path) -> None:
    assert settings.read({}).release == ""
    file = tmp_path / wire.RELEASE_FILE
    file.parent.mkdir()
    file.write_text(RELEASE)
    assert settings.release(str(tmp_path)) == RELEASE
