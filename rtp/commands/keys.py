"""rtp keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands import consent
from rtp.commands.consent import Approval, Impact
from rtp.commands.options import new_app, option_group, with_session
from rtp.commands.recorded import recorded
from rtp.commands.session import Session
from rtp.errors import NotFoundError, RtpError, UsageError
from rtp.text import suggest, times
from rtp.text.elements import Column, Element, Fields, Style, Table, Text, advice, dim, line, name

if TYPE_CHECKING:
    from rtp.aws.api_keys import Limits
    from rtp.ops.keys import change, listing

app = new_app(no_args_is_help=True, help="List, create, rotate and revoke the API keys of clients.")

_STYLES = {"active": Style.GOOD, "old": Style.WARN, "disabled": Style.BAD, "incomplete": Style.BAD}

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the client, such as partner-a.")]


@option_group
class LimitOptions:
    """Limits of one key. With any of them it has a usage plan of its own."""

    rate: Annotated[
        int | None, typer.Option("--rate", min=1, max=10_000, metavar="N", help="Its throttle in requests per second.")
    ] = None
    burst: Annotated[int | None, typer.Option("--burst", min=1, max=10_000, metavar="N", help="Its burst.")] = None
    daily_quota: Annotated[
        int | None,
        typer.Option("--daily-quota", min=1, max=1_000_000_000, metavar="N", help="Its quota of requests per day."),
    ] = None


@app.command("list")
@with_session
def list_(session: Session) -> None:
    """List the keys: state, age, limits, and the requests of today and of the last 30 days. Values are not read."""
    from rtp.ops.keys import listing

    try:
        outputs = session.outputs_to_read
    except NotFoundError:  # keys can be left over from a stack that is gone
        outputs = {}
    keys = listing.listing(session.guarded, session.environment, outputs)
    session.out.result(keys, lambda listed: _render(listed, session.environment.name))


@app.command()
@with_session
def create(session: Session, *, client: Name, limits: LimitOptions, approval: Approval) -> None:
    """Create a client's key, print its value once, and wait until the API accepts it.

    rtp keeps no copy of the value. Without limits of its own the key has those of key_rate, key_burst and daily_quota.
    """
    from rtp.ops.access import guard
    from rtp.ops.keys import change

    environment, out = session.environment, session.out
    guard.named(environment, approval.confirm)
    outputs = session.outputs
    change.check(environment, outputs, client)
    guard.account(session.aws, environment)
    if session.is_protected:
        question = f"Create a key of {client} in {environment.names.stack}?"
        out.confirm(question, yes=approval.yes or approval.confirm is not None)
    own = change.limits(environment, limits.rate, limits.burst, limits.daily_quota)
    with recorded(session, "keys create", {"client": client}, limits, reason=approval.reason) as run:
        key = change.create(session.aws, environment, outputs, client, own)
        run.result = f"created {key.id}"
        _hand_over(session, key)


@app.command()
@with_session
def rotate(
    session: Session,
    *,
    client: Name,
    finish: Annotated[
        bool, typer.Option("--finish", help="Revoke the old key, after a check that the API accepts the new one.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Replace the new key of an unfinished rotation, whose value was lost.")
    ] = False,
    approval: Approval,
) -> None:
    """Replace a client's key without an interruption: create a new one, and revoke the old one with --finish.

    Both are valid in between, for as long as the client needs. A run that was interrupted can be repeated.
    --finish says whether the old key was used in the last hour, and asks.
    """
    from rtp.ops.access import guard
    from rtp.ops.keys import change

    if finish and restart:
        raise UsageError("--finish and --restart exclude each other.", hint="Give one of them.")
    environment, out = session.environment, session.out
    guard.named(environment, approval.confirm)
    outputs = session.outputs
    change.check(environment, outputs, client)
    guard.account(session.aws, environment)
    if finish:
        _finish(session, outputs, client, approval)
        return
    if session.is_protected:
        question = f"Create a new key of {client} in {environment.names.stack}?"
        out.confirm(question, yes=approval.yes or approval.confirm is not None)
    with recorded(session, "keys rotate", {"client": client, "restart": restart}, reason=approval.reason) as run:
        key = change.rotate(session.aws, environment, outputs, client, restart=restart)
        run.result = f"created {key.id}"
        _hand_over(session, key)


@app.command()
@with_session
def revoke(session: Session, *, client: Name, approval: Approval) -> None:
    """Delete every key of a client. Its requests get 403 from then on; API Gateway may take up to a minute."""
    from rtp.ops.access import guard
    from rtp.ops.keys import change

    environment = session.environment
    try:
        outputs = session.outputs
    except NotFoundError:
        outputs = {}
    guard.account(session.aws, environment)
    keys = change.of(session.aws, environment, outputs, client)
    ids = ", ".join(key.id for key in keys.keys) or "no key, but a usage plan"
    if outputs:
        consent.ask(session, f"Revoke {client} ({ids})", approval, Impact.LASTING)
    else:  # nothing is deployed that a typed name could protect
        guard.named(environment, approval.confirm)
        session.out.confirm(f"Revoke {client} ({ids})?", yes=approval.yes or approval.confirm is not None)
    with recorded(session, "keys revoke", {"client": client}, reason=approval.reason) as run:
        revoked = change.revoke(session.aws, environment, outputs, client)
        run.result = f"revoked {', '.join(revoked.ids)}"
        session.out.result(revoked, _revoked)


def _hand_over(session: Session, key: change.NewKey) -> None:
    """Print a key before anything else can fail, then wait until it works."""
    from rtp.ops.keys import acceptance

    session.out.result(key, _new)
    try:
        acceptance.wait(session.aws, session.outputs, key.id, session.out.warn)
    except RtpError as error:
        if not acceptance.is_not_checkable(error):
            raise
        session.out.warn(f"Whether the API accepts the key could not be checked from here: {error.message}")
        return
    session.out.say(line(f"The API accepts the key {key.id}."))


def _finish(session: Session, outputs: dict[str, str], client: str, approval: Approval) -> None:
    """Revoke the old key once the new one is known to work."""
    from rtp.ops.keys import acceptance, change

    aws, environment = session.aws, session.environment
    keys = change.unfinished(aws, environment, outputs, client)
    *old, new = keys.usable
    acceptance.wait(aws, outputs, new.id, session.out.warn)
    uses = []
    for key in old:
        try:
            use = acceptance.recent_use(aws, environment, key.id)
        except RtpError as error:
            if not acceptance.is_not_checkable(error):
                raise
            uses.append(f"{key.id}: whether it is still used is not known: {error.message.rstrip('.')}")
        else:
            uses.append(f"{key.id}: {use or 'not used in the last hour'}")
    consent.ask(session, f"Revoke the old key of {client} ({'; '.join(uses)})", approval, Impact.LASTING)
    with recorded(session, "keys rotate", {"client": client, "finish": True}, reason=approval.reason) as run:
        revoked = change.finish(aws, environment, outputs, keys)
        run.result = f"revoked {', '.join(revoked.ids)}"
        session.out.result(revoked, _revoked)


def _new(key: change.NewKey) -> list[Element]:
    pairs: list[tuple[str, str]] = [("client", key.name), ("id", key.id), ("value", key.value)]
    if key.own_limits is not None:
        pairs.append(("limits", _limits(key.own_limits)))
    elements: list[Element] = [
        Fields(pairs),
        line("The value is printed this once; rtp keeps no copy. The client sends it as the header x-api-key."),
    ]
    if key.old:
        finish = suggest.command("rtp", "keys", "rotate", finish=True, values=[key.name])
        end = suggest.sentence("until {}", finish, otherwise="until the rotation is finished")
        elements.append(line(f"{' and '.join(key.old)} stays valid ", advice(end)))
    return elements


def _revoked(revoked: change.Revoked) -> list[Element]:
    ids = ", ".join(revoked.ids) or "no key"
    plan = f", and the usage plan {revoked.plan}" if revoked.plan else ""
    stays = f"; {revoked.remaining} stays valid" if revoked.remaining else ""
    return [
        line(name(revoked.name), f" revoked: {ids}{plan}{stays}"),
        line(dim("API Gateway may accept a revoked key for up to a minute.")),
    ]


def _render(listed: listing.Keys, env: str) -> list[Element]:
    from rtp.commands.render.headings import count, heading

    rows = [
        (
            Text(key.name, Style.NAME),
            key.id,
            Text(key.state, _STYLES[key.state]),
            "" if key.created is None else times.span(max(0, times.now_ms() - times.parse_when(key.created))),
            "" if key.limits is None else f"{_limits(key.limits)}{'' if key.own_limits else ' (shared plan)'}",
            _count(key.used_today),
            _count(key.used),
        )
        for key in listed.keys
    ]
    columns = (
        Column("NAME", whole=True),
        Column("ID", whole=True),
        Column("STATE", whole=True),
        Column("AGE", right=True, whole=True, drop=4),
        Column("LIMITS", long=True, drop=1),
        Column("TODAY", right=True, whole=True, drop=2),
        Column("30 DAYS", right=True, whole=True, drop=3),
    )
    elements: list[Element] = [
        heading("keys", env, count(len(rows))),
        Table(columns, rows, empty=f"{listed.stack} has no keys"),
    ]
    if listed.auth != "key":
        elements.append(line(f'auth = "{listed.auth}": callers sign their requests, and no key admits to anything'))
    return [*elements, *(line(note) for note in listed.notes)]


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _limits(limits: Limits) -> str:
    parts = [] if limits.rate is None else [f"{limits.rate:g}/s"]
    parts += [] if limits.burst is None else [f"burst {limits.burst:,}"]
    parts += [] if limits.quota is None else [f"{limits.quota:,} per {limits.period.lower()}"]
    return ", ".join(parts) or "none"
