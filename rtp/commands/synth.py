"""rtp synth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtp.commands.options import new_app, with_session
from rtp.commands.session import Session
from rtp.ops.stack.build import synth as op
from rtp.text.elements import Element, dim, line, name

app = new_app()


@app.command()
@with_session
def synth(
    session: Session,
    *,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write the assembly to.", metavar="DIR")] = None,
    stdout: Annotated[bool, typer.Option("--stdout", help="Print the template.")] = False,
) -> None:
    """Write the CloudFormation template.

    With its assets, into a folder that the CDK CLI can deploy; or on stdout.
    """
    environment = session.environment
    account = None if environment.local or environment.account else session.aws.account
    built = op.synth(environment, out=out, account=account)
    if stdout:
        session.out.document(built.template)
        return
    session.out.result(
        {"path": built.path, "template": built.template_file, "resources": len(built.template.get("Resources", ()))},
        _render,
    )


def _render(found: dict[str, object]) -> list[Element]:
    return [line(name(str(found["template"])), dim(f" ({found['resources']} resources)"))]
