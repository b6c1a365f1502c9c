"""rtp diff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands.options import new_app, with_session
from rtp.commands.session import Session
from rtp.errors import ExitCode
from rtp.text.elements import Element, Heading, Style, Text, advice, bad, dim, good, line, many, name

if TYPE_CHECKING:
    from rtp.config import Environment
    from rtp.ops.stack import diff as op
    from rtp.ops.stack.compare.changes import PropertyChange, ResourceChange

app = new_app()


@app.command()
@with_session
def diff(
    session: Session,
    *,
    fail: Annotated[bool, typer.Option("--fail", help="Exit with 1 if anything differs.")] = False,
    security_only: Annotated[
        bool, typer.Option("--security-only", help="Show only what would be allowed that is not allowed now.")
    ] = False,
    drift: Annotated[
        bool, typer.Option("--drift", help="Also show what was changed outside CloudFormation (slower).")
    ] = False,
) -> None:
    """Show what a deploy would change.

    Compares the templates and changes nothing. `rtp deploy --dry-run` shows what CloudFormation would do.
    """
    from rtp.ops.stack import diff as op

    environment = session.environment
    found = op.diff(session.aws, environment, drift=drift)
    if security_only:
        document = op.SecurityDiff(found.stack, found.widens, found.foreign)
        session.out.result(document, lambda _: [*_foreign(found, environment), *_security(found)])
    else:
        session.out.result(found, lambda _: [*_foreign(found, environment), *_render(found)])
    if fail and (found.widens if security_only else found.differs):
        raise typer.Exit(ExitCode.FAILED)


_MARKS = {"add": good("+"), "modify": Text("~", Style.WARN), "replace": bad("!"), "remove": bad("-")}


def _render(found: op.Diff) -> list[Element]:
    from rtp.ops.stack.compare.changes import PropertyChange

    elements: list[Element] = []
    if not found.differs:
        return [line(name(found.stack), " would not change.")]
    if not found.deployed:
        elements.append(
            line(name(found.stack), f" is not deployed; a deploy creates {many(len(found.changes), 'resource')}:")
        )
    elif found.changes:
        elements.append(line(name(found.stack), f": {many(len(found.changes), 'resource')} would change"))
    for change in found.changes:
        elements += _change(change, found.paths)
    for title, changes in (("Outputs", found.outputs if found.deployed else ()), ("Tags", found.tags)):
        if changes:
            elements += [Heading(title), *(_property(p, found.paths, indent=2) for p in changes)]
    if found.widens and found.deployed:
        elements += [Heading("Allows more than before"), *_widenings(found)]
    if found.missing:
        elements += [Heading("Missing"), *(line(bad("✗"), " ", advice(m.problem)) for m in found.missing)]
    if found.diverged:
        elements += [
            Heading("Changed outside CloudFormation"),
            *(line(bad("≠"), " ", advice(d.description)) for d in found.diverged),
        ]
    if found.drift:
        elements.append(Heading("Drift (actual → expected)"))
        for d in found.drift:
            elements.append(line(bad("≠"), " ", name(d.path or d.logical_id), dim(f"  {d.resource_type}  {d.status}")))
            elements += [_property(PropertyChange(p.path, p.after, p.before), {}, indent=4) for p in d.properties]
    return elements


def _foreign(found: op.Diff, environment: Environment) -> list[Element]:
    """Before all changes: a deploy would not make them."""
    from rtp.ops.access import ownership

    if found.foreign is None:
        return []
    said = ownership.describe(environment, found.foreign)
    return [line(bad("! "), f"{said}. ", advice("A deploy is refused; `rtp deploy --take-over` would change:"))]


def _security(found: op.Diff) -> list[Element]:
    if not found.widens:
        return [line(name(found.stack), " would allow nothing that it does not allow now.")]
    return _widenings(found)


def _widenings(found: op.Diff) -> list[Element]:
    return [line(bad("!"), " ", name(w.path or w.logical_id), f"  {w.what}") for w in found.widens]


def _change(change: ResourceChange, paths: dict[str, str]) -> list[Element]:
    said = [_MARKS[change.action], Text(" "), name(change.path or change.logical_id), dim(f"  {change.resource_type}")]
    if change.action == "replace":
        said.append(bad("  replaced by a new one"))
    elif change.maybe:
        said.append(Text("  may be replaced by a new one", Style.WARN))
    if change.loses_data:
        said.append(bad(", data lost"))
    return [line(*said), *(_property(p, paths, indent=4) for p in change.properties)]


def _property(p: PropertyChange, paths: dict[str, str], *, indent: int) -> Element:
    from rtp.ops.stack.compare.changes import to_text

    return line(
        f"{p.path}: ", dim(to_text(p.before, paths)), " → ", Text(to_text(p.after, paths), Style.STRONG), indent=indent
    )
