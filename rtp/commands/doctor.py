"""rtp doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands.options import new_app, with_session
from rtp.commands.session import Session
from rtp.errors import ConfigError, ExitCode, RtpError
from rtp.ops.access.calls import Role
from rtp.text import installing, suggest
from rtp.text.elements import Element, Line, Style, Text, advice, dim, line, name

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.config import Environment
    from rtp.ops import doctor as op

app = new_app()

_DETAIL = 25  # columns before what a check found


@app.command()
@with_session
def doctor(
    session: Session,
    *,
    policy: Annotated[
        Role | None,
        typer.Option("--policy", metavar="ROLE", help="Print the IAM policy of a role: reader, operator or deployer."),
    ] = None,
) -> None:
    """Check what would stop a deploy, and how to fix it.

    Checks this machine, the project, the account and the region. Changes nothing; exits with 1 if a check fails.
    --policy prints which AWS calls the commands of a role need, on the resources of the environment.
    """
    from rtp.ops import doctor as op

    if policy is not None:
        _policy(session, policy)
        return
    try:
        environment = session.environment
    except ConfigError as error:
        report = op.Report("", (*op.run([op.python, op.node, op.foreign_cdk, op.uv]), op.failed("config", error)))
    else:
        checks = op.run([*op.machine(environment), *_files(environment), lambda: _engine(environment)])
        checks[:0] = [op.config(environment)]
        report = op.Report(environment.name, tuple(checks + _of_endpoint(session)))
    session.out.result(report, _render)
    if not report.healthy:
        raise typer.Exit(ExitCode.FAILED)


def _files(environment: Environment) -> list[Callable[[], op.Check]]:
    from rtp.ops import doctor_files, doctor_packages

    return [
        lambda: doctor_files.access(environment),
        lambda: doctor_files.age(environment),
        doctor_packages.pins,
    ]


def _policy(session: Session, role: Role) -> None:
    """Print a role's policy: the document that AWS takes, or with --json rtp's own, which contains it."""
    from rtp.ops.access import policy

    document = policy.document(role, session.environment)
    if session.out.json:
        session.out.document(document)
    else:
        session.out.template(document.policy)


def _of_endpoint(session: Session) -> list[op.Check]:
    """The checks that need AWS or the engine; none where the engine does not run."""
    from rtp.ops import doctor as op
    from rtp.ops import doctor_account as account

    environment = session.environment
    if environment.embedded and not _running(environment):
        return []
    try:
        aws = session.aws
    except RtpError as error:
        return [op.failed("endpoint", error)]
    credentials = account.credentials(aws, environment)
    if credentials.verdict is op.Verdict.FAIL:
        return [credentials]
    return [credentials, *op.run(account.checks(aws, environment))]


def _running(environment: Environment) -> bool:
    from rtp.local import engine

    try:
        return engine.status(environment.root).running
    except RtpError:
        return False  # the check of the engine says why


def _engine(environment: Environment) -> op.Check:
    """The embedded engine, where the environment is the local one."""
    from importlib.util import find_spec

    from rtp.local import engine, losses
    from rtp.ops import doctor as op

    if not environment.embedded:
        return op.ok("engine", f"not needed for {environment.name}")
    if find_spec("ministack") is None or find_spec("hypercorn") is None:
        fix = suggest.sentence("Run {}.", installing.with_extra("local"))
        return op.fail("engine", "The local engine is not installed.", fix)
    try:
        found = engine.status(environment.root)
    except RtpError as error:
        return op.failed("engine", error)
    if found.state == "killed":
        return op.warn("engine", found.loss, losses.restart(found.saved))
    if found.state == "elsewhere":
        text = "A process that is not visible here, for example in another container, serves this folder."
        return op.fail("engine", text, "Run `rtp local stop` where it was started.")
    if found.copied:
        return op.warn("engine", f"Not running. {found.loss}", losses.restart(found.saved))
    if found.engine is not None and not found.answers:
        return op.fail(
            "engine",
            f"Process {found.engine.pid} runs but does not answer on port {found.engine.port}.",
            f"`rtp local stop`, then `rtp local start`; its log is {found.log_file}.",
        )
    if found.engine is not None:
        return op.ok("engine", f"running at {found.engine.endpoint_url}")
    taken = engine.taken_port(environment.root)
    elsewhere = f" on another port than {taken}, which another program uses" if taken else ""
    return op.ok("engine", f"not running; `rtp deploy` starts it{elsewhere}")


def _render(report: op.Report) -> list[Element]:
    from rtp.ops import doctor as op

    elements: list[Element] = [element for check in report.checks for element in _lines(check)]
    bad = sum(check.verdict is op.Verdict.FAIL for check in report.checks)
    if bad:
        elements.append(
            line(Text(f"{bad} {'check' if bad == 1 else 'checks'} failed: a deploy would not work", Style.BAD))
        )
    return elements


def _lines(check: op.Check) -> list[Line]:
    from rtp.ops import doctor as op

    styles = {op.Verdict.OK: Style.GOOD, op.Verdict.WARN: Style.WARN, op.Verdict.FAIL: Style.BAD}
    verdict = Text(f"{check.verdict:<5}", styles[check.verdict])
    summary = Line((verdict, name(f"{check.name:<18}"), Text("  "), advice(check.detail)), hang=_DETAIL)
    fix = Line((dim("fix: "), advice(check.fix)), indent=_DETAIL, hang=_DETAIL + 5)
    return [summary, fix] if check.fix else [summary]
