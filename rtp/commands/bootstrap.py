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

    The CDK's bucket and roles, once for each account and region; run again, it updates them.
    """
    environment, out = session.environment, session.out
    aws = session.start()
    account = guard.account(aws, environment)
    before = op.version(aws)
    if not environment.local:
        what = "Update the bootstrap of" if before else "Bootstrap"
        out.confirm(f"{what} account {account} in {aws.region}?", yes=yes, default=True)
    done = op.bootstrap(aws, environment, before, on_line=lambda text: out.say(dim(text)))
    out.result(done, _render)


def _render(done: op.Bootstrap) -> list[Element]:
    word = "bootstrapped" if done.changed else "bootstrapped already"
    return [line(good(word), " ", name(f"{done.account}/{done.region}"), dim(f", version {done.bootstrap_version}"))]
