"""Starts the engine's process, and explains why one did not start."""

from __future__ import annotations

import importlib.util
import json
import os
import select
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.errors import ConfigError, RtpError, WaitTimeoutError
from rtp.local import environment
from rtp.local.patches.patch import WITHOUT
from rtp.text import installing, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.local.state import Folder
    from rtp.local.weather.choice import Weather

START_TIMEOUT_S = 60.0
PATCH_FAILURE = "patch "  # the server's answer where patches do not apply; their names and reasons follow as JSON


def check_installed() -> None:
    """Raises ConfigError if a package of the extra `local` is missing."""
    if any(importlib.util.find_spec(name) is None for name in ("ministack", "hypercorn", "regex")):
        raise ConfigError(
            "The local engine is not installed.",
            hint=suggest.sentence("Run {}.", installing.with_extra("local")),
            code="engine-missing",
        )


def launch(
    place: Folder,
    port: int | None,
    extra_env: Mapping[str, str] | None,
    weather: Weather | None,
    save_every_s: float,
) -> None:
    """Start the server and wait until it is ready. Raises RtpError if it does not start."""
    read, write = os.pipe()
    folder = place.open()
    argv = [sys.executable, "-m", "rtp.local.server", str(folder), str(port or 0), str(write), str(save_every_s)]
    if weather is not None:
        argv.append(json.dumps(asdict(weather)))
    try:
        with place.stderr_file.open("wb") as errors:
            subprocess.run(
                argv,
                env=environment.scrubbed(os.environ, extra_env),
                cwd=Path(__file__).parents[2],  # where `rtp` is importable from, installed or not
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                pass_fds=(folder, write),
                start_new_session=True,
                check=False,
                timeout=START_TIMEOUT_S,
            )
        os.close(write)
        write = -1
        ready, _, _ = select.select([read], [], [], START_TIMEOUT_S)
        # The server closes its end after the answer, or without one when it dies.
        answer = b"".join(iter(lambda: os.read(read, 4096), b"")).decode() if ready else "timeout"
    finally:
        os.close(folder)
        os.close(read)
        if write >= 0:
            os.close(write)
    if answer != "ready":
        raise _failure(place, answer, port)


def _failure(place: Folder, answer: str, port: int | None) -> RtpError:
    if answer.startswith(PATCH_FAILURE):
        return _patch_failure(json.loads(answer.removeprefix(PATCH_FAILURE)))
    if answer == "port-taken":
        return ConfigError(
            f"Port {port} is taken by another program.",
            hint="Name another port with --port, or leave --port out.",
            code="port-taken",
        )
    if answer == "busy":
        return RtpError("Another engine serves this folder and is not ready yet.", hint="Try again in a moment.")
    if answer == "timeout":
        return WaitTimeoutError(
            f"The local engine was not ready within {START_TIMEOUT_S:g} s.", hint=f"See {place.log_file}."
        )
    lines = place.stderr_file.read_text(errors="replace").strip().splitlines()
    reason = f": {lines[-1]}" if lines else "."
    return RtpError(f"The local engine did not start{reason}", hint=f"See {place.stderr_file} and {place.log_file}.")


def _patch_failure(reasons: dict[str, str]) -> ConfigError:
    names = ",".join(reasons)
    details = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    return ConfigError(
        f"Patches of the local engine do not apply to MiniStack {version('ministack')}: {details}.",
        hint=suggest.sentence("Run {} for the version that they are written for. ", installing.with_extra("local"))
        + f"With {WITHOUT}={names} in the environment the engine starts without them.",
        code="engine-patch",
    )
