"""What a rehearsal says where its options found nothing: that proves nothing, so it is an error that names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.errors import NotFoundError, WaitTimeoutError
from rtp.ops import releases
from rtp.text import suggest
from rtp.text.elements import many

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtp.errors import RtpError
    from rtp.ops.rehearse.selection import Request, Seen

_NAMED = 5  # ids and groups in a message


def is_proof(request: Request) -> bool:
    """Whether nothing found is an answer: no event is dead or waits. Of what the options name, something is there."""
    named = (request.ids, request.kind, request.filters.group, request.filters.error, request.filters.release)
    return not any(named) and "processed" not in request.statuses


def ids(request: Request, seen: Seen, of_messages: Iterable[str]) -> list[str]:
    """The ids of a request of which neither a record was read nor a message."""
    found = seen.ids | set(of_messages)
    return [event_id for event_id in dict.fromkeys(request.ids) if event_id not in found]


def error(request: Request, seen: Seen, *, unseen: int) -> RtpError:
    """The error that names what was looked for: not found, or not yet where another receiver hides DLQ messages.

    unseen: how many it hides.
    """
    statuses = request.statuses or (() if request.ids else ("dead",))
    which = f"{' or '.join(statuses)} event" if statuses else "event"
    nothing = f"No {which} {', '.join(_conditions(request))} was found"
    if unseen:
        return WaitTimeoutError(
            f"{nothing}, and {many(unseen, 'message')} of the dead-letter queue could not be read.",
            hint="Another receiver hides messages. Repeat the command later; nothing was rehearsed.",
        )
    return NotFoundError(f"{nothing}. Nothing was rehearsed.", hint=_hint(request, seen), code="nothing-rehearsed")


def _conditions(request: Request) -> list[str]:
    filters = request.filters
    more = f" and {len(request.ids) - _NAMED:,} others" if len(request.ids) > _NAMED else ""
    texts = [f"with the id {' or '.join(request.ids[:_NAMED])}{more}"] if request.ids else []
    texts += [f"of the group {filters.group}"] if filters.group is not None else []
    texts += [f"of the type {request.kind}"] if request.kind is not None else []
    texts += [f"with the error {filters.error!r}"] if filters.error is not None else []
    texts += [f"of the release {releases.label(filters.release)}"] if filters.release is not None else []
    return texts or ["of this time"]


def _hint(request: Request, seen: Seen) -> str:
    """The fix for the condition that says most."""
    if request.ids and seen.ids:
        return "There are records with these ids, which the other options leave out."
    if request.ids:
        return suggest.sentence(
            "{} looks for it in the logs and the archive too.",
            suggest.command("rtp", "show", values=(request.ids[0],)),
            otherwise="`rtp records` lists events.",
        )
    if request.filters.group is not None:
        listed = ", ".join(group for group, _ in seen.groups.most_common(_NAMED))
        others = f" Those of the events that were read: {listed}." if listed else ""
        return f"`rtp triage` lists the groups.{others}"
    if request.filters.release is not None:
        return "`rtp rollback --list` and `rtp history` show the releases. Give --status for events that are not dead."
    if request.kind is not None:
        return suggest.sentence(
            "{} lists those of every status.",
            suggest.command("rtp", "records", type=request.kind),
            otherwise="`rtp records` lists events of every status.",
        )
    return "`rtp triage` shows the errors." if request.filters.error is not None else "`rtp records` lists events."
