"""Runs `rtp` in a child of its own without the start of an interpreter: the child is forked from one that has started.

Importing takes most of a short command. Commands that are followed or interrupted, and those in `tests/unit/cli`, are
started as a person's shell starts them; so is everything with RTP_TEST_FORKS=0 in the environment.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Mapping

_SERVER = Path(__file__).with_name("forkserver.py")
# What a running interpreter has read already.
_READ_AT_START = ("PYTHON", "LANG", "LC_", "TZ")


def run(
    argv: list[str], *, stdin: bytes, cwd: Path, environ: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[bytes]:
    """Run `rtp ARGV` to its end, as subprocess.run does with captured output."""
    if not _is_alike(environ) or _hides_a_module(cwd):
        command = [sys.executable, "-m", "rtp", *argv]
        return subprocess.run(
            command, input=stdin, capture_output=True, cwd=cwd, env=dict(environ), timeout=timeout, check=False
        )
    with contextlib.ExitStack() as stack:
        ends = [os.pipe() for _ in range(3)]
        theirs = [ends[0][0], ends[1][1], ends[2][1]]
        given, out, err = (
            stack.enter_context(os.fdopen(file, mode))
            for file, mode in ((ends[0][1], "wb"), (ends[1][0], "rb"), (ends[2][0], "rb"))
        )
        try:
            asked = stack.enter_context(_asked(argv, cwd, environ, theirs))
        finally:
            for file in theirs:
                os.close(file)
        answers = asked.makefile("r", encoding="ascii")
        pid = int(answers.readline())
        late = threading.Timer(timeout, lambda: os.kill(pid, signal.SIGKILL))
        late.start()
        stdout, stderr = bytearray(), bytearray()
        threads = [
            threading.Thread(target=_write, args=(given, stdin)),
            threading.Thread(target=lambda: stdout.extend(out.read())),
            threading.Thread(target=lambda: stderr.extend(err.read())),
        ]
        for thread in threads:
            thread.start()
        code = int(answers.readline())
        is_late = not late.is_alive()
        late.cancel()
        for thread in threads:
            thread.join()
    if is_late:
        raise subprocess.TimeoutExpired(["rtp", *argv], timeout, bytes(stdout), bytes(stderr))
    return subprocess.CompletedProcess(["rtp", *argv], code, bytes(stdout), bytes(stderr))


def _asked(argv: list[str], cwd: Path, environ: Mapping[str, str], files: list[int]) -> socket.socket:
    """A connection to the server, which has been sent the request."""
    request = json.dumps({"argv": argv, "cwd": str(cwd), "environ": dict(environ)}).encode()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, max(2 * len(request), 1 << 18))
        connection.connect(_server())
        socket.send_fds(connection, [request], files)
    except BaseException:
        connection.close()
        raise
    return connection


def _write(file: BinaryIO, content: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), file:
        file.write(content)


@cache
def _server() -> str:
    """Start the server of this process; returns the address of its socket. It ends with this process."""
    folder = tempfile.mkdtemp(prefix="rtp-forks-")
    address = f"{folder}/socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen(16)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RTP_"))}
        child = subprocess.Popen(
            [sys.executable, str(_SERVER), str(listener.fileno())],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            cwd=folder,
            env=clean,
        )
    atexit.register(_end, child, folder)
    return address


def _end(child: subprocess.Popen[bytes], folder: str) -> None:
    assert child.stdin is not None
    child.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(10)
    Path(folder, "socket").unlink(missing_ok=True)
    Path(folder).rmdir()


def _is_alike(environ: Mapping[str, str]) -> bool:
    """Whether an interpreter that starts in this environment would read the same settings as this one has."""
    if os.environ.get("RTP_TEST_FORKS") == "0":
        return False
    wanted, present = (
        {name: value for name, value in each.items() if name.startswith(_READ_AT_START)}
        for each in (environ, os.environ)
    )
    return wanted == present


def _hides_a_module(folder: Path) -> bool:
    """Whether a module of the folder has the name of one that the server has imported before it knows the folder."""
    names = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    return bool(names & (sys.stdlib_module_names | {"rtp", "typer", "rich", "boto3", "botocore", "simplejson"}))
