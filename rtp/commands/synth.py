"""rtp synth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rtp.commands.options import new_app, with_session
from rtp.commands.session import Session
from rtp.errors import ConfigError, CredentialsError, EndpointError
from rtp.text.elements import Element, dim, line, name

app = new_app()


@dataclass(frozen=True, slots=True)
class Synthesised:
    """`synth --json`. path: the assembly's folder. template: the template's file. resources: their number."""

    path: Path
    template: Path
    resources: int


@app.command()
@with_session
def synth(
    session: Session,
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the template and its assets (default .rtp/cdk/ENV).", metavar="DIR"),
    ] = None,
    stdout: Annotated[bool, typer.Option("--stdout", help="Print the template on stdout.")] = False,
) -> None:
    """Write the CloudFormation template.

    Writes it with its assets to a folder that the CDK CLI can deploy.
    """
    from rtp.ops.stack.build import synth as op

    environment = session.environment
    account = None if environment.local or environment.account else _account(session)
    built = op.synth(environment, out=out, account=account)
    for finding in built.findings:
        session.out.warn(f"{finding.path}: {finding.rule}: {finding.description}")
    if stdout:
        session.out.template(built.template)
        return
    written = Synthesised(built.path, built.template_file, len(built.template.get("Resources", ())))
    session.out.result(written, _render)


def _account(session: Session) -> str:
    """The account of the credentials. Raises RtpError, whose hint says how to do without them."""
    try:
        return session.aws.account
    except (CredentialsError, EndpointError, ConfigError) as error:
        name = session.environment.name
        error.hint = (
            f"{error.hint} Or set `account` under [env.{name}] in rtp.toml: then rtp synth needs no credentials."
        ).lstrip()
        raise


def _render(written: Synthesised) -> list[Element]:
    return [line(name(str(written.template)), dim(f" ({written.resources} resources)"))]
