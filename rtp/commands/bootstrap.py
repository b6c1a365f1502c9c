"""rtp bootstrap."""

from __future__ import annotations

from rtp.commands.options import Yes, new_app, with_session
from rtp.commands.session import Session
from rtp.ops.access import guard
from rtp.ops.stack.build import bootstrap as op
from rtp.text.elements import Element, dim, good, line, name

app = new_app()


@app.command()
@with_session
def bootstrap(session: Session, *, yes: Yes = False) -> None:
    """Prepare an account and region for deploys.

    Creates the CDK's bucket and roles, once for each account and region. Run it again to update them.
    """
    environment, out = session.environment, session.out
    aws = session.start()
    account = guard.account(aws, environment)
    before = op.version(aws)
    if not environment.local:
        verb = "Update the bootstrap of" if before else "Bootstrap"
        out.confirm(f"{verb} account {account} in {aws.region}?", yes=yes, default=True)
    result = op.bootstrap(aws, environment, before, on_line=lambda text: out.say(dim(text)))
    out.result(result, _render)


def _render(result: op.Bootstrap) -> list[Element]:
    word = "bootstrapped" if result.changed else "bootstrapped already"
    place = name(f"{result.account}/{result.region}")
    return [line(good(word), " ", place, dim(f", version {result.bootstrap_version}"))]
