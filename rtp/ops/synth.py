"""Synthesis: an environment -> a cloud assembly on disk. Skipped when nothing it depends on has changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rtp
from rtp.errors import ConfigError, RtpError
from rtp.infra import archive, assets, layer, toolchain
from rtp.infra.plan import Plan

if TYPE_CHECKING:
    from rtp.config import Environment

LOCAL_ACCOUNT = "000000000000"
_FINGERPRINT = "rtp.json"
_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class Assembly:
    """A cloud assembly: what `cdk deploy --app PATH` and rtp's own deploy read."""

    path: Path
    template_file: Path
    template: dict[str, Any]
    cached: bool


def synth(
    env: Environment,
    *,
    out: Path | None = None,
    account: str | None = None,
    force: bool = False,
    reserved_concurrency: int | None = None,
) -> Assembly:
    """The assembly of env, in `.rtp/cdk/<env>` or out. No AWS access; the user's processors are parsed, never run.

    account: where it will be deployed; the environment's own when not given.
    reserved_concurrency: of the processor, when the setting is unset; deploy knows what the account's limit allows.
    """
    account = account or env.account or (LOCAL_ACCOUNT if env.local else None)
    if account is None:
        raise ConfigError(
            f"the account of {env.name} is not known",
            hint=f"set `account` under [env.{env.name}] in rtp.toml",
            code="account",
        )
    target = (out or env.state / "cdk" / env.name).absolute()
    plan = _plan(env, target, account, reserved_concurrency)
    wanted = _fingerprint(plan)
    if not force and (found := _load(plan, wanted)) is not None:
        return found
    _build(plan, wanted)
    built = _load(plan, wanted, cached=False)
    if built is None:
        raise RtpError(f"synthesis of {env.name} left nothing in {target}", code="synth")
    return built


def _plan(env: Environment, target: Path, account: str, reserved_concurrency: int | None) -> Plan:
    assets.check(env.processors)
    platform = layer.Platform.here() if env.embedded else layer.Platform.aws(env.settings.architecture)
    limit = env.settings.reserved_concurrency
    return Plan(
        project=env.project,
        env=env.name,
        owner=env.owner,
        account=account,
        region=env.region,
        protected=env.protected,
        local=env.local,
        version=rtp.__version__,
        code=str(assets.code(env.state / "assets", env.processors).absolute()),
        layer=str(layer.build(env.state / "layers", platform, env.requirements).absolute()),
        processors=assets.module(env.processors),
        reserved_concurrency=reserved_concurrency if limit is None else limit,
        settings=env.settings,
        out=str(target),
    )


def _fingerprint(plan: Plan) -> str:
    """Changes with the plan (whose assets are named after their contents) and with the code that builds from it."""
    sources = (
        name for entry in archive.tree(Path(assets.__file__).parent) for name in (entry[0], entry[1].read_bytes())
    )
    return archive.digest([plan.dumps(), *sources, Path(rtp.__file__).with_name("contract.py").read_bytes()])


def _load(plan: Plan, wanted: str, *, cached: bool = True) -> Assembly | None:
    folder = Path(plan.out)
    try:
        if json.loads((folder / _FINGERPRINT).read_text())["fingerprint"] != wanted:
            return None
        file = folder / f"{plan.names.stack}.template.json"
        return Assembly(folder, file, json.loads(file.read_text()), cached)
    except (OSError, ValueError, KeyError):
        return None


def _build(plan: Plan, wanted: str) -> None:
    """Build beside the target and swap, so that an interrupted synthesis leaves the old assembly or the new one."""
    target = Path(plan.out)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".synth-") as scratch:
        fresh = Path(scratch, "assembly")
        _run(json.dumps({**json.loads(plan.dumps()), "out": str(fresh)}))
        (fresh / _FINGERPRINT).write_text(json.dumps({"fingerprint": wanted}))
        shutil.rmtree(target, ignore_errors=True)
        fresh.replace(target)


def _run(plan: str) -> None:
    # -P: a module in the user's folder must not shadow the standard library; -O: jsii's argument checks are slow.
    argv = [sys.executable, "-P", "-O", "-m", "rtp.infra.app"]
    environment = {**os.environ, **toolchain.environment()}
    try:
        done = subprocess.run(
            argv, input=plan, capture_output=True, text=True, env=environment, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise RtpError(f"synthesis gave no answer within {_TIMEOUT_S} s", code="synth") from None
    if done.returncode:
        raise RtpError(f"synthesis failed: {_first_cause(done.stderr)}", code="synth")


def _first_cause(stderr: str) -> str:
    """The child's exception without its traceback."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    causes = [
        line for line in lines if not line.startswith(("File ", "Traceback", "During", "The above", "^", "~", "at "))
    ]
    return causes[-1] if causes else "no reason given"
