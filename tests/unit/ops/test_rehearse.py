"""How a rehearsal compares results, and what it keeps of many events."""

from __future__ import annotations

import socket
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtp.commands.render import rehearse as render
from rtp.config import Overrides, environments
from rtp.errors import UsageError
from rtp.ops.causes import Cause
from rtp.ops.rehearse.compare import Outcome, compared, differences, skipped
from rtp.ops.rehearse.interpreter import Job, Ran, Tried
from rtp.ops.rehearse.rehearse import Allowed, _interpreters
from rtp.ops.rehearse.report import Findings
from rtp.ops.rehearse.selection import LOST, Request, doubt
from rtp.terminal.draw import flat

if TYPE_CHECKING:
    from rtp.ops.rehearse.compare import Compared

FAILED = {"type": "KeyError", "message": "'total'", "signature": "KeyError: *", "at": "processors.py:9 price"}


def record(status: str, **more: Any) -> dict[str, Any]:
    return {"id": "e1", "timestamp": 1, "type": "order", "status": status, **more}


def failing(at: str = "processors.py:12 price", outcome: str = "failed", *tried: Tried) -> Ran:
    return Ran(outcome, "order", cause=Cause("KeyError", "'total'", at, "KeyError: *"), tried=tried)


def of(status: str, ran: Ran, result: Any = None) -> Compared:
    return compared(record(status, error=FAILED), ran, result)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": Decimal("1.10")}, {"a": Decimal("1.1")}, []),
        ({"a": 1}, {"a": Decimal("1")}, []),
        ({"a": 1}, {"a": True}, [("$.a", "changed")]),
        ({"a": 0}, {"a": None}, [("$.a", "changed")]),
        ({"a": "1"}, {"a": 1}, [("$.a", "changed")]),
        (None, {"a": 1}, [("$", "changed")]),
        ({"a": 1, "b": 2}, {"b": 2, "c d": 3}, [("$.a", "removed"), ('$["c d"]', "added")]),
        ([1, [2]], [1, [3], 4], [("$[1][0]", "changed"), ("$[2]", "added")]),
        ([1], [], [("$[0]", "removed")]),
        ({}, {}, []),
    ],
)
def test_results_differ_by_value_and_type(before: Any, after: Any, expected: list[tuple[str, str]]) -> None:
    assert [(change.path, change.change) for change in differences(before, after)] == expected


def test_the_outcome_follows_from_the_record_and_the_run() -> None:
    good = Ran("processed", "order", {"n": 1})
    assert of("dead", good).outcome is Outcome.NOW_PROCESSED
    assert of("failed", good).outcome is Outcome.NOW_PROCESSED
    assert of("processed", good, {"n": 1}).outcome is Outcome.SAME_RESULT
    assert of("processed", good, {"n": 2}).outcome is Outcome.OTHER_RESULT
    assert of("processed", good, LOST).outcome is Outcome.SKIPPED
    assert of("processed", failing()).outcome is Outcome.NEWLY_FAILING
    assert of("dead", failing()).outcome is Outcome.STILL_DEAD


def test_a_failure_at_the_same_function_is_the_known_cause() -> None:
    assert of("dead", failing()).is_known
    assert not of("dead", failing("processors.py:12 other")).is_known


def test_what_failed_after_a_refusal_proves_nothing_and_what_was_processed_in_spite_of_it_counts() -> None:
    tried = Tried("network", "10.0.0.1:443")
    assert of("dead", failing("", "failed", tried)).outcome is Outcome.NOT_REHEARSED
    assert of("dead", Ran("processed", "order", tried=(tried,))).outcome is Outcome.NOW_PROCESSED


def test_differences_in_the_same_fields_are_one_kind() -> None:
    findings = Findings()
    for index in range(3):
        findings.add(
            of("processed", Ran("processed", "order", {"lines": [0] * index + [1]}), {"lines": [0] * index + [2]})
        )
    findings.add(of("processed", Ran("processed", "order", {"lines": [], "n": 1}), {"lines": [], "n": 2}))
    report = findings.report()
    assert [(each.count, [c.path for c in each.changes]) for each in report.differing] == [
        (3, ["$.lines[0]"]),
        (1, ["$.n"]),
    ]
    assert report.is_good


def test_a_report_of_many_events_is_bounded_and_its_totals_are_exact() -> None:
    findings = Findings()
    for number in range(5000):
        findings.add(of("dead", failing(f"processors.py:1 f{number}", "failed")))
        findings.add(of("dead", failing("", "failed", Tried("write", f"/tmp/{number}"))))
        findings.add(skipped(record("dead"), "its text is archived no longer"))
    report = findings.report(more=True)
    assert (report.events, report.still_dead, report.not_rehearsed) == (10_000, 5000, 5000)
    assert report.skipped == {"its text is archived no longer": 5000}
    assert len(report.failing) <= 100 and len(report.tried) <= 100
    assert not report.is_good
    assert render.rehearsal(report, "local")


def test_a_record_whose_attempt_runs_is_not_compared() -> None:
    assert doubt(record("dead", lease_until=0), now=1000) == ""
    assert doubt(record("dead", lease_until=2000), now=1000) == "being processed now"
    assert doubt(record("processing"), now=1000) == "being processed now"


def test_a_group_is_known_where_one_of_its_events_failed_so_before() -> None:
    findings = Findings()
    findings.add(compared(record("dead", error={"type": "Interrupted", "message": "killed"}), failing(), None))
    assert [each.is_known for each in findings.report().failing] == [False]
    findings.add(of("dead", failing()))
    assert [(each.is_known, each.count) for each in findings.report().failing] == [(True, 2)]


def test_a_status_without_an_outcome_is_refused() -> None:
    with pytest.raises(UsageError, match="processing"):
        Request(statuses=("processing",), limit=1).check()


SPEAKS = """
from pathlib import Path
from rtp.runtime import processor, secret

@processor("order")
def price(event):
    return {"is_given": secret("TOKEN") == "hunter2" * 4, "line": Path("/proc/self/cmdline").read_text()}
"""


def test_no_secret_is_on_the_command_line_which_every_user_can_read(tmp_path: Path) -> None:
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("the system does not show it so")
    (tmp_path / "rtp.toml").write_text('[defaults]\nsecrets = ["TOKEN"]\n[processors]\npath = "processors.py"\n')
    (tmp_path / "processors.py").write_text(SPEAKS)
    environment = environments.resolve(Overrides(), cwd=tmp_path, environ={})
    job = Job("e1", 1, "order", "queue", '{"id": "e1", "timestamp": 1, "type": "order", "data": {}}')
    with _interpreters(environment, Allowed(secrets={"TOKEN": "hunter2" * 4})) as (_, interpreter):
        for _ in range(2):
            ran = interpreter.run(job)
            assert ran.result["is_given"] and "hunter2" not in ran.result["line"]
            interpreter.close()  # as after an event that hangs


TRIES = """
import concurrent.futures, json, multiprocessing, os, pathlib, shutil, socket, sqlite3, subprocess, sys, tempfile
from rtp.ops.rehearse.guard import Guard, GuardError
outside, scratch = map(pathlib.Path, sys.argv[1:])
(outside / "kept").write_text("x")
guard = Guard(scratch, network=False)
guard.install()
def started(how):
    multiprocessing.get_context(how).Process(target=print).start()
def pooled():
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(print).result(30)
tries = {
    "fork": lambda: started("fork"), "spawn": lambda: started("spawn"), "forkserver": lambda: started("forkserver"),
    "pool": pooled, "popen": lambda: subprocess.Popen(["true"]), "system": lambda: os.system("true"),
    "posix_spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}), "kill": lambda: os.kill(os.getppid(), 0),
    "write": lambda: (outside / "new").write_text("x"), "truncate": lambda: os.truncate(outside / "kept", 0),
    "remove": lambda: (outside / "kept").unlink(), "tree": lambda: shutil.rmtree(outside),
    "rename": lambda: (outside / "kept").rename(scratch / "kept"), "link": lambda: os.link(__file__, outside / "a"),
    "into": lambda: (scratch / "x").rename(outside / "x"), "symlink": lambda: (outside / "s").symlink_to("x"),
    "mode": lambda: (outside / "kept").chmod(0o777), "sqlite": lambda: sqlite3.connect(str(outside / "db")),
    "through a link": lambda: (scratch / "out" / "new").write_text("x"), "mkdir": lambda: (outside / "d").mkdir(),
    "connect": lambda: socket.create_connection(("127.0.0.1", 9)), "name": lambda: socket.gethostbyname("a.example"),
    "datagram": lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)),
}
(scratch / "x").write_text("x")
try:
    (scratch / "out").symlink_to(outside)
except GuardError:
    tries.pop("through a link")
done = {}
for name, attempt in tries.items():
    guard.begin()
    try:
        attempt()
    except GuardError:
        continue
    except BaseException as error:
        done[name] = repr(error)
    else:
        done[name] = "done"
os.write(1, json.dumps(done).encode())
os._exit(0)
"""


def test_a_processor_gets_out_by_no_way_of_the_standard_library(tmp_path: Path) -> None:
    outside, scratch, program = tmp_path / "outside", tmp_path / "scratch", tmp_path / "tries.py"
    outside.mkdir()
    scratch.mkdir()
    program.write_text(TRIES)
    ran = subprocess.run(
        [sys.executable, program, outside, scratch], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ran.stdout, ran.returncode) == ("{}", 0), ran.stderr
    assert [path.name for path in outside.iterdir()] == ["kept"] and (outside / "kept").read_text() == "x"


CONNECTS = """
import ctypes, socket, struct
from rtp.runtime import processor

@processor("order")
def connect(event):
    libc = ctypes.CDLL(None)
    to = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(event.data["port"]), socket.inet_aton("127.0.0.1"))
    return {"connected": libc.connect(libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0), to, len(to)) == 0}
"""


def test_code_in_c_has_no_network_where_the_system_has_namespaces(tmp_path: Path) -> None:
    (tmp_path / "rtp.toml").write_text('[processors]\npath = "processors.py"\n')
    (tmp_path / "processors.py").write_text(CONNECTS)
    environment = environments.resolve(Overrides(), cwd=tmp_path, environ={})
    with socket.create_server(("127.0.0.1", 0)) as server:
        text = f'{{"id": "e1", "timestamp": 1, "type": "order", "data": {{"port": {server.getsockname()[1]}}}}}'
        job = Job("e1", 1, "order", "queue", text)
        connected = {}
        for allowed in (Allowed(), Allowed(aws={})):
            with _interpreters(environment, allowed) as (_, interpreter):
                connected[allowed.aws is None] = interpreter.run(job).result["connected"]
                if allowed.aws is None and not interpreter.is_isolated:
                    pytest.skip("this system gives no network namespace")
    assert connected == {True: False, False: True}


@pytest.mark.parametrize(
    ("network", "text"),
    [
        ("none", "network refused by a namespace and by Python's audit hook"),
        ("refused", "network refused by Python's audit hook alone: this system gives no network namespace"),
        ("allowed", "network allowed"),
    ],
)
def test_the_last_line_says_what_stood_between_the_processors_and_the_network(network: str, text: str) -> None:
    findings = Findings()
    findings.add(of("dead", Ran("processed", "order")))
    findings.network = network
    rows = [flat(row) for row in render.rehearsal(findings.report(), "local")]
    assert f"nothing was stored, sent or emitted; {text}" in rows
