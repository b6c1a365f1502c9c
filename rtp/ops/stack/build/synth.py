"""Synthesis: an environment -> a cloud assembly on disk. Skipped where nothing that it depends on has changed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rtp
from rtp import fastpath
from rtp.config import code_paths
from rtp.contract import LOCAL_ACCOUNT
from rtp.errors import ConfigError, RefusedError, RtpError
from rtp.infra import archive, assets, child, findings, inputs, layer, packing, toolchain
from rtp.infra.plan import Plan
from rtp.ops.stack.build import code_change, contents, processors, shape
from rtp.trust import private, project

if TYPE_CHECKING:
    from rtp.config import Environment

_MARK = "rtp.json"  # in each of rtp's assemblies: the fingerprint of its inputs
_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)  # of a mark or an assembly
_SCRATCH = ".synth-"
_DEPTH = 100  # of the folders of an assembly


@dataclass(frozen=True, slots=True)
class Finding:
    """What cdk-nag says about a construct of `[infra] extend`. path: of the construct, below the stack."""

    rule: str
    path: str
    description: str


@dataclass(frozen=True, slots=True)
class Assembly:
    """A cloud assembly: what `cdk deploy --app PATH` and rtp's own deploy read."""

    path: Path
    template_file: Path
    template: dict[str, Any]
    cached: bool
    findings: tuple[Finding, ...] = ()


def synth(
    env: Environment,
    *,
    out: Path | None = None,
    account: str | None = None,
    force: bool = False,
    reserved_concurrency: int | None = None,
) -> Assembly:
    """Build the assembly of env in `.rtp/cdk/<env>` or out. Calls no AWS; the user's processors are parsed, never run.

    account: the account to deploy to; the environment's own by default.
    force: build even if nothing has changed, and resolve the user's requirements again.
    reserved_concurrency: of the API function, where the setting is unset; a deploy knows what the account allows.
    """
    project.check_state(env.state.absolute())  # what is cached there is uploaded
    own = (env.state / "cdk" / env.name).absolute()
    target = Path(os.path.realpath(out)) if out else own  # a link given as --out stays
    try:
        plan = _plan(env, target, account, reserved_concurrency, force=force)
        fingerprint = _fingerprint(plan)
        if not force and _is_own(target) and (current := _load(plan, fingerprint)) is not None:
            return current
        _refuse_foreign(target)
        _build(plan, fingerprint, own.with_name(f"{env.name}.log"), exchange=not force)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or target} cannot be used: {error.strerror or error}.",
            hint="rtp builds in the folder .rtp: fix its permissions or free disk space.",
            code="folder",
        ) from error
    built = _load(plan, fingerprint)
    if built is None:
        raise RtpError(f"The synthesis of {env.name} wrote no assembly to {target}.", code="synth")
    return replace(built, cached=False)


def _plan(
    env: Environment, target: Path, account: str | None, reserved_concurrency: int | None, *, force: bool
) -> Plan:
    account = account or env.account or (LOCAL_ACCOUNT if env.local else None)
    if account is None:
        raise ConfigError(
            f"The account of {env.name} is unknown.",
            hint=f"Set `account` under [env.{env.name}] in rtp.toml.",
            code="account",
        )
    sources = processors.sources_of(env)
    selection = assets.check(sources)
    platform = layer.platform_of(env)
    requirements = processors.requirements_of(env)
    limit = env.settings.reserved_concurrency
    entries = assets.entries(selection)
    built = layer.build(env.state / "layers", platform, requirements, refresh=force)
    if not env.local:
        contents.check_size(entries, built)
    extension = code_paths.extension(env)
    if extension is not None:
        packing.select(packing.Sources(extension, env.root))  # refuses what it imports of another user
    return Plan(
        project=env.project,
        env=env.name,
        owner=env.owner,
        account=account,
        region=env.region,
        protected=env.protected,
        local=env.local,
        version=rtp.__version__,
        code=str(assets.code(env.state / "assets", entries, shape.of(env)).absolute()),
        layer=str(built.absolute()),
        processors=assets.module(sources),
        reserved_concurrency=reserved_concurrency if limit is None else limit,
        settings=env.settings,
        out=str(target),
        extend=str(extension or ""),
        root=str(env.root.resolve()) if env.extend else "",
    )


def _fingerprint(plan: Plan) -> str:
    """Changes with the plan (whose assets are named after their contents) and with the code that builds from it.

    The project's path has no effect: a moved or copied project keeps its assembly.
    """
    package = Path(rtp.__file__).parent
    sources = [*archive.tree(package / "infra", "infra/"), ("contract.py", package / "contract.py")]
    texts: list[str | bytes] = [part for name, file in sources for part in (name, file.read_bytes())]
    placeless = replace(plan, code=Path(plan.code).name, layer=Path(plan.layer).name, out="", root="")
    if plan.extend:
        placeless = replace(placeless, extend=os.path.relpath(plan.extend, plan.root))
        texts.append(f"cdk-nag {findings.installed()}")
    return archive.digest([placeless.dumps(), toolchain.cdk_lib(), *texts])


def _load(plan: Plan, fingerprint: str) -> Assembly | None:
    """The assembly at the target, if it has this fingerprint and is complete."""
    folder, stack = Path(plan.out), plan.names.stack
    try:
        mark = json.loads(private.read(folder / _MARK))
        if mark["fingerprint"] != fingerprint or not inputs.unchanged(mark["inputs"], Path(plan.root)):
            return None
        file = folder / f"{stack}.template.json"
        template = json.loads(private.read(file))
        files = json.loads(private.read(folder / f"{stack}.assets.json"))["files"]
        built = {entry["source"]["path"] for entry in files.values()}
        if _digests(folder) != mark["files"] or not built <= mark["files"].keys():
            return None  # what is uploaded is what was built
        found = tuple(Finding(**f) for f in mark["findings"])
    except _DAMAGED:
        return None
    return Assembly(folder, file, template, cached=True, findings=found)


def extension_paths(env: Environment) -> list[Path]:
    """The files and folders that the last synthesis of `[infra] extend` has read."""
    if env.extend is None:
        return []
    try:
        mark = json.loads(private.read(env.state / "cdk" / env.name / _MARK))
        return [env.extend, *inputs.paths(mark["inputs"], env.root.resolve())]
    except _DAMAGED:
        return [env.extend]


def _digests(folder: Path) -> dict[str, str]:
    """The digest of each file of an assembly, by its path in it, but for rtp's own mark. Raises OSError."""
    files = ((name, file) for name, file in archive.tree(folder) if name != _MARK)
    return {name: archive.file_digest(file) for name, file in files}


def _is_own(folder: Path) -> bool:
    """Whether no other user can have written an assembly, or a file of it."""
    return not private.doubt(folder) and not private.doubts(folder, _DEPTH)


def _refuse_foreign(target: Path) -> None:
    """Raises RefusedError unless target is an assembly of rtp's, empty or missing: it is replaced as a whole."""
    if target.exists() and not (target / _MARK).exists() and (not target.is_dir() or any(target.iterdir())):
        raise RefusedError(
            f"{target} is not empty and is not an assembly of rtp's.",
            hint="Name another folder with --out, or empty this one.",
            code="not-an-assembly",
        )


def _build(plan: Plan, fingerprint: str, log: Path, *, exchange: bool) -> None:
    """Build next to the target and swap, so that an interrupted synthesis leaves the old assembly or the new one.

    log: the file for the output of a synthesis that fails.
    exchange: where only the code has changed, replace that in the current assembly.
    """
    target = Path(plan.out)
    exchange = exchange and _is_own(target)
    project.below(target.parent)
    _forget_killed(target.parent)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=_SCRATCH, ignore_cleanup_errors=True) as scratch:
        fresh = Path(scratch, "new")
        extension = _exchanged(plan, fresh) if exchange else None
        if extension is None:
            shutil.rmtree(fresh, ignore_errors=True)
            since_ns = time.time_ns()
            child.run(replace(plan, out=str(fresh)), Path(scratch), log)
            extension = inputs.take(fresh, Path(plan.root), since_ns=since_ns)
        (fresh / _MARK).write_text(
            json.dumps(
                {
                    "fingerprint": fingerprint,
                    "version": plan.version,
                    "code": code_change.fingerprint(Path(plan.code)),
                    "shape": _shape(plan),
                    "files": _digests(fresh),
                    **extension,
                }
            )
        )
        private.close(fresh)
        for attempt in range(5):  # another synthesis of the same environment may write its own in between
            if target.exists():
                target.rename(Path(scratch, f"old-{attempt}"))
            try:
                fresh.rename(target)
                return
            except OSError:
                if attempt == 4:
                    raise


def _forget_killed(folder: Path) -> None:
    """Remove the scratch folders of killed syntheses; those of running ones are younger."""
    for scratch in folder.glob(f"{_SCRATCH}*"):
        if scratch.stat().st_mtime < time.time() - 2 * child.TIMEOUT_S:
            shutil.rmtree(scratch, ignore_errors=True)


def _shape(plan: Plan) -> str:
    """The fingerprint without the code."""
    return _fingerprint(replace(plan, code=""))


def _exchanged(plan: Plan, fresh: Path) -> dict[str, Any] | None:
    """Write the current assembly with the new code to fresh. Returns None where more than its code differs.

    Returns the inputs and findings of the extension, which stay.
    """
    old = Path(plan.out)
    if plan.published or not fastpath.enabled("code-exchange"):  # the names of published versions follow the code
        return None
    try:
        mark = json.loads(private.read(old / _MARK))
        if mark["shape"] != _shape(plan) or not inputs.unchanged(mark["inputs"], Path(plan.root)):
            return None
        was, code = str(mark["code"]), Path(plan.code)
        if not code_change.exchange_code(old, fresh, stack=plan.names.stack, was=was, code=code):
            return None
        return {"inputs": mark["inputs"], "findings": mark["findings"]}
    except _DAMAGED:
        return None
