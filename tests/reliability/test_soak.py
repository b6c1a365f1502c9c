"""Half an hour at a steady rate, with faults: nothing is lost, and no process grows (C26)."""

from __future__ import annotations

import json
import os
import signal
import statistics
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import api
from rtp.contract import Output
from tests.reliability.conftest import Rig, pipeline

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = int(os.environ.get("RTP_TEST_SOAK_S", "1800"))
RATE = 10  # events a second to the queue; one more over HTTP
_EVERY_S = 10  # between two measurements
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MB = 1_000_000


@dataclass
class Series:
    """What one process used at each measurement."""

    role: str
    rss: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def measure(self, pid: int) -> None:
        """Add a measurement. Raises OSError where the process has ended."""
        place = Path(f"/proc/{pid}")
        rss = int((place / "statm").read_text().split()[1]) * _PAGE
        files = len(os.listdir(place / "fd"))  # noqa: PTH208 - the entries vanish while they are read
        self.threads.append(len(os.listdir(place / "task")))  # noqa: PTH208
        self.files.append(files)
        self.rss.append(rss)

    def __str__(self) -> str:
        rows = (("rss MB", [n // _MB for n in self.rss]), ("files", self.files), ("threads", self.threads))
        middle = len(self.rss) // 2
        figures = "; ".join(
            f"{name} {statistics.median(row[: middle // 2]):.0f}, {_early(row):.0f}, {_late(row):.0f}"
            for name, row in rows
        )
        return f"{self.role}, {len(self.rss) * _EVERY_S} s, in its first, second and last quarter: {figures}"


@pytest.mark.reliability
def test_half_an_hour_at_a_steady_rate(
    account: Callable[..., None], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """C26. Poison, repeats, slow events and faults of AWS throughout; workers are killed in the first third."""
    log = tmp_path / "faults"
    log.touch()
    with pipeline(tmp_path, timeout_s=20) as rig:
        rig.faults(FAULT_AWS="on", FAULT_CHANCE="0.01", FAULT_LOG=str(log))
        post, processes, kills = _poster(rig), dict[int, Series](), 0
        began = time.monotonic()
        for tick in range(SECONDS):
            time.sleep(max(0.0, began + tick - time.monotonic()))
            events = rig.events(RATE, poison=0.1 if tick % 5 == 0 else 0)
            rig.send([*events, *events[:1], *(rig.events(1, type="slow", seconds=60) if tick % 300 == 299 else [])])
            (by_http,) = rig.events(1)
            rig.sent[by_http["id"]] = by_http
            post(by_http)
            if tick % _EVERY_S == 0:
                _measure(rig, processes)
            if tick % (SECONDS // 12) == SECONDS // 24 and tick < SECONDS // 3:
                for pid in rig.workers()[-1:]:
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
        rig.faults()
        rig.drain(seconds=600)

        longest = [s for s in processes.values() if len(s.rss) * _EVERY_S >= SECONDS / 2]
        request.node.user_properties.append(("figures", [str(series) for series in longest]))
        account(rig.ledger(), kills + len(log.read_text().splitlines()), "faults of AWS and kills")
        assert {series.role for series in longest} == {"engine", "worker", "processor"}
        for series in longest:
            assert _late(series.files) <= _early(series.files) + 5, series
            assert _late(series.threads) <= _early(series.threads) + 5, series
            if series.role == "engine":  # it holds the pipeline's data in memory, and may grow with that alone
                first, second = _early(series.rss) - series.rss[0], _late(series.rss) - _early(series.rss)
                assert second <= 2 * first + 20 * _MB, series
            else:
                assert _late(series.rss) <= 1.05 * _early(series.rss) + 2 * _MB, series


def _measure(rig: Rig, processes: dict[int, Series]) -> None:
    pids = {rig.project.engine.pid: "engine"}
    pids |= dict.fromkeys(rig.workers(), "worker") | dict.fromkeys(rig.workers(Output.PROCESSOR), "processor")
    for pid, role in pids.items():
        series = processes.get(pid) or Series(role)
        try:
            series.measure(pid)
        except OSError:
            continue
        processes[pid] = series


def _early(row: list[int]) -> float:
    """The median of the second quarter: after the start, and before the rest."""
    return statistics.median(row[len(row) // 4 : len(row) // 2 + 1])


def _late(row: list[int]) -> float:
    return statistics.median(row[-(len(row) // 4 or 1) :])


def _poster(rig: Rig) -> Callable[[dict[str, Any]], None]:
    """Return a function that posts an event to /process, and expects it to be processed."""
    key = rig.aws.call("apigateway", "get_api_key", apiKey=rig.outputs[Output.API_KEY_ID], includeValue=True)
    headers = {"Content-Type": "application/json", "x-api-key": key["value"]}
    url = api.url(rig.outputs, rig.aws) + "process"

    def post(event: dict[str, Any]) -> None:
        call = urllib.request.Request(url, json.dumps(event).encode(), headers, method="POST")  # noqa: S310 (loopback)
        with urllib.request.urlopen(call, timeout=60) as answer:  # noqa: S310
            assert answer.status in (200, 202)

    return post
