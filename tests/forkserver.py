"""A process that has imported rtp's commands and forks one child for each command line that it is sent.

Run by `tests/forks.py` as a script: its argument is the file descriptor of a listening socket. Each connection asks for
one command: a JSON object with `argv`, `cwd` and `environ`, and the file descriptors of stdin, stdout and stderr. The
answers are two lines: the child's process id, and its exit code (negative: the signal that ended it).
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
from importlib import import_module
from typing import Any

# Not imported before the fork: programs of their own, and what imports the CDK or the engine.
_OTHERS = ("rtp.__main__", "rtp.infra", "rtp.runtime", "rtp.local")
_COMMON = (
    "rtp.cli",
    "rtp.local.engine",
    "boto3",
    "botocore.endpoint",
    "botocore.signers",
    "rich.console",
    "simplejson",
)


# Those that commands call most. A client of one takes 30 ms, most of which is the reading of its model.
_SERVICES = (
    "apigateway", "cloudformation", "cloudwatch", "dynamodb", "iam", "kms", "lambda", "logs", "s3", "sns", "sqs", "sts",
    "xray",
)  # fmt: skip


def preload() -> None:
    """Import what commands import, and read the models of the services, so that a child need not."""
    import rtp

    for found in pkgutil.walk_packages(rtp.__path__, "rtp.", onerror=lambda _: None):
        if not found.name.startswith(_OTHERS):
            import_module(found.name)
    for name in _COMMON:
        import_module(name)
    _read_models()
    gc.collect()
    gc.freeze()  # a collection in a child need not copy what it shares


def _read_models() -> None:
    """Let all sessions of a process, and of those forked from it, share what they read of botocore's own files."""
    from botocore.loaders import JSONFileLoader, Loader

    from rtp.aws import Aws

    read: dict[str, Any] = {}

    class Shared(JSONFileLoader):
        def load_file(self, file_path: str) -> Any:
            if not file_path.startswith(Loader.BUILTIN_DATA_PATH):
                return super().load_file(file_path)
            if file_path not in read:
                read[file_path] = super().load_file(file_path)
            return read[file_path]

    Loader.FILE_LOADER_CLASS = Shared
    Aws(region="us-east-1", endpoint_url="http://127.0.0.1:1", local=True).connect(*_SERVICES)


def serve(listener: socket.socket) -> tuple[list[str], str]:
    """Fork a child for each connection. Returns the arguments in the child, and never in the server itself."""
    children: dict[int, socket.socket] = {}
    woken, wake = socket.socketpair()
    for each in (woken, wake):
        each.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal of the tests; pytest closes the socket
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(woken, selectors.EVENT_READ)
    selector.register(0, selectors.EVENT_READ)  # stdin ends with pytest
    while True:
        ready = {key.fileobj for key, _ in selector.select()}
        if 0 in ready:
            os._exit(0)
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                woken.recv(4096)
            for pid in list(children):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    with children.pop(pid) as asker, contextlib.suppress(OSError):
                        asker.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        if listener in ready:
            asker, _ = listener.accept()
            text, files, _, _ = socket.recv_fds(asker, 1 << 20, 3)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for number, file in enumerate(files):
                    os.dup2(file, number)
                selector.close()
                for each in (listener, woken, wake, asker, *children.values()):
                    each.close()
                os.closerange(3, max(files) + 1)
                return become(json.loads(text))
            children[pid] = asker
            for file in files:
                os.close(file)
            with contextlib.suppress(OSError):
                asker.sendall(f"{pid}\n".encode())


def become(request: dict[str, object]) -> tuple[list[str], str]:
    """Take over the environment and the folder of a request. Returns its arguments and the folder."""
    argv, cwd, environ = request["argv"], request["cwd"], request["environ"]
    assert isinstance(argv, list) and isinstance(cwd, str) and isinstance(environ, dict)
    for name in set(os.environ) - set(environ):
        del os.environ[name]
    os.environ.update(environ)
    os.chdir(cwd)
    return argv, cwd


if __name__ == "__main__":
    preload()
    with socket.socket(fileno=int(sys.argv[1])) as here:
        arguments, folder = serve(here)
    # As `python -m rtp` starts: its folder first on the path, and Python's own handler of SIGINT.
    sys.path[0] = folder
    sys.argv = ["rtp", *arguments]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    runpy.run_module("rtp", run_name="__main__", alter_sys=True)
