"""Function workers: they end with the engine, and an invocation has all its log lines when it ends."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import MismatchError, Patch, replace, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

FENCE = "\x00rtp-end-of-invocation\x00"
FENCE_TIMEOUT_S = 2.0  # a handler may have closed stderr
PRELUDE = """
def _rtp_end_with_engine():
    import os, select, threading
    def watch():
        poll = select.poll()
        poll.register(0, 0)
        while not any(events & select.POLLHUP for _, events in poll.poll()):
            pass
        os._exit(1)
    threading.Thread(target=watch, daemon=True).start()
_rtp_end_with_engine()

def _rtp_keep_out_of_tmp():
    import importlib.machinery, sys, tempfile
    class Finder:
        @classmethod
        def find_spec(cls, name, path=None, target=None):
            if name != "aws_xray_sdk.core.lambda_launcher":
                return None
            sys.meta_path.remove(cls)
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            if spec is not None:
                load = spec.loader.exec_module
                def exec_module(module):
                    load(module)
                    module.TOUCH_FILE_DIR = tempfile.gettempdir() + "/.aws-xray/"
                    module.TOUCH_FILE_PATH = module.TOUCH_FILE_DIR + "initialized"
                spec.loader.exec_module = exec_module
            return spec
    sys.meta_path.insert(0, Finder)
_rtp_keep_out_of_tmp()
"""
_BEFORE = "        _real_stdout.flush()\n\nrun()\n"
_AFTER = f"        sys.stderr.write({FENCE!r} + chr(10))\n        sys.stderr.flush()\n{_BEFORE}"


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.core import lambda_runtime

    require(lambda_runtime.Worker, "invoke", "_read_stderr")
    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    if script.count(_BEFORE) != 1:
        raise MismatchError("the script of the Python worker has another end of an invocation")
    replace(
        lambda_runtime.Worker,
        "_drain_stderr_bounded",
        _drain_to_fence,
        "self first_line_wait idle_confirm hard_cap",
    )
    lambda_runtime._PYTHON_WORKER_SCRIPT = PRELUDE + script.replace(_BEFORE, _AFTER)


PATCH = Patch(
    name="worker",
    aws="A function's log lines belong to the invocation that wrote them; a function ends with its environment.",
    engine=(
        "stderr is read until no line has come for 5 ms (50 ms where nothing is logged): every invocation waits "
        "for that, and a late line is logged with the next one. A busy worker outlives a killed engine until its "
        "handler returns. The X-Ray SDK leaves a folder in this machine's /tmp."
    ),
    test="tests/local/engine/test_patches.py::a_silent_function_is_waited_for",
    install=install,
)


def _drain_to_fence(worker: Any, *_: float) -> str:
    """Every line the worker wrote during this invocation."""
    lines: list[str] = []
    deadline = time.monotonic() + FENCE_TIMEOUT_S
    fenced = str(worker.config.get("Runtime", "")).startswith("python")
    while True:
        wait = deadline - time.monotonic() if fenced else 0.005
        try:
            text = worker._stderr_queue.get(timeout=max(wait, 0.001))
        except queue.Empty:
            return "\n".join(lines)
        before, fence, _ = text.partition(FENCE)
        if fence:
            return "\n".join([*lines, before] if before else lines)
        lines.append(text)
