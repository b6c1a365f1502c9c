"""rtp bootstrap."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands.options import Yes, new_app, with_session
from rtp.commands.session import Session
from rtp.errors import UsageError
from rtp.text.elements import Element, dim, good, line, many, name

if TYPE_CHECKING:
    from rtp.ops.stack import own_bucket
    from rtp.ops.stack.build import bootstrap as op

app = new_app()


@app.command()
@with_session
def bootstrap(
    session: Session,
    *,
    yes: Yes = False,
    bucket_only: Annotated[
        bool, typer.Option("--bucket-only", help="Make rtp's own bucket; leave the CDK's bootstrap as it is.")
    ] = False,
    remove: Annotated[
        bool,
        typer.Option("--remove", help="Delete rtp's own bucket and its history; no stack may be left."),
    ] = False,
) -> None:
    """Prepare an account and region for deploys.

    Creates the CDK's bucket and roles, and rtp's own bucket. That has the history of commands, and leases, so that only
    one of two machines deploys at a time. Once for each account and region. Run it again to update them.
    """
    from rtp.ops.access import guard
    from rtp.ops.stack import own_bucket
    from rtp.ops.stack.build import bootstrap as op

    if remove and bucket_only:
        raise UsageError("--remove cannot be combined with --bucket-only.", hint="Leave one of them out.")
    environment, out = session.environment, session.out
    aws = session.start()
    account = guard.account(aws, environment)
    if remove:
        own_bucket.check_unused(aws)
        if not environment.local:
            question = (
                f"Delete rtp's own bucket of account {account} in {aws.region}, with the history of all commands?"
            )
            out.confirm(question, yes=yes)
        out.result(own_bucket.remove(aws), _removed)
        return
    before = op.version(aws)
    if not environment.local:
        verb = "Make rtp's own bucket in" if bucket_only else "Update the bootstrap of" if before else "Bootstrap"
        out.confirm(f"{verb} account {account} in {aws.region}?", yes=yes, default=True)
    if bucket_only:
        result = op.Bootstrap(account, aws.region, before or 0, changed=False)
    else:
        result = op.bootstrap(aws, environment, before, on_line=lambda text: out.say(dim(text)))
    bucket = own_bucket.ensure(aws)
    out.result(replace(result, bucket=bucket.name, bucket_is_new=bucket.is_new), _render)


def _render(result: op.Bootstrap) -> list[Element]:
    word = "bootstrapped" if result.changed else "bootstrapped already"
    place = name(f"{result.account}/{result.region}")
    state = "created" if result.bucket_is_new else "is there already, with its settings as they should be"
    first = [line(good(word), " ", place, dim(f", version {result.bootstrap_version}"))]
    if not result.bootstrap_version:
        first = [line("the CDK's bootstrap of ", place, " is missing; a deploy needs it")]
    return [*first, line("bucket ", name(result.bucket), dim(f" {state}"))]


def _removed(result: own_bucket.Removed) -> list[Element]:
    if not result.removed:
        return [line("there is no bucket ", name(result.bucket))]
    versions = many(result.objects, "object version")
    stays = f"  with {versions}; the CDK's bootstrap stays, which other stacks may use"
    return [line(good("deleted"), " ", name(result.bucket), dim(stays))]
