"""Claim events, so that one delivery at a time processes an event, and only once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rtp.runtime import calls, closing, dlqnote, logs, outcomes
from rtp.runtime.claims import Claim, ClaimRequest, Leased
from rtp.runtime.delivery import Archived, Attempt, Claimed, Suspect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.runtime.delivery import Ended
    from rtp.runtime.invocation import Invocation
    from rtp.runtime.tracing import Trace


class _Candidate(NamedTuple):
    archived: Archived
    request: ClaimRequest

    @property
    def trace(self) -> Trace:
        return self.archived.trace


def claim(
    invocation: Invocation, items: Sequence[Archived | Attempt | Ended]
) -> list[Claimed | Suspect | Attempt | Ended]:
    """Claim the archived events. One without a processor is passed on without a claim: nothing could run twice.

    Of several events, those whose last attempt was interrupted are not claimed: each of them may kill the others.
    """
    passed: list[Claimed | Suspect | Attempt | Ended] = []
    candidates: list[_Candidate] = []
    for item in items:
        if not isinstance(item, Archived):
            passed.append(item)
        elif item.received.reading.processor is None and item.received.reading.invalid is None:
            passed.append(Claimed(item.received, item.origin))
        else:
            candidates.append(_candidate(invocation, item))
    first = [one for one in candidates if one.archived.received.delivery.receives == 1]
    answers = _claim_together(invocation, first)
    answered = {id(one) for one, answer in zip(first, answers, strict=True) if answer is not None}
    rest = [one for one in candidates if id(one) not in answered]
    if len(candidates) > 1:
        rest = [one._replace(request=one.request._replace(is_shared=True)) for one in rest]
    singly = invocation.runtime.each(lambda one: _claim(invocation, one), rest)
    return [*passed, *(answer for answer in answers if answer is not None), *singly]


def claim_alone(invocation: Invocation, suspect: Suspect) -> Claimed | Suspect | Ended:
    """Claim an event beside which no other runs."""
    return _claim(invocation, _candidate(invocation, suspect.archived))


def claim_late(invocation: Invocation, attempt: Attempt) -> Attempt | Ended:
    """Claim the event of a failed attempt that had no claim, so that the failure can be recorded."""
    received, origin = attempt.received, attempt.claimed.origin
    request = ClaimRequest.of(received.event, origin, until=invocation.runtime.clock())
    try:
        answer = invocation.runtime.store.claim(request)
    except Exception as failure:
        return closing.close(invocation, received, outcomes.outage("record", failure))
    if isinstance(answer, Claim):
        return attempt._replace(claimed=Claimed(received, origin, answer))
    return closing.close(invocation, received, outcomes.taken(answer, received.delivery.message_id))


def _candidate(invocation: Invocation, archived: Archived) -> _Candidate:
    event, is_last = archived.received.event, archived.received.delivery.is_last
    note = None
    if is_last:
        note = dlqnote.of(archived.received.delivery, invocation.runtime.clock(), by_sqs=True)
    request = ClaimRequest.of(event, archived.origin, until=invocation.deadline.ends, is_last=is_last, note=note)
    return _Candidate(archived, request)


def _claim_together(invocation: Invocation, candidates: Sequence[_Candidate]) -> Sequence[Claimed | Ended | None]:
    """Claim events that arrive for the first time, in one call; None for each that has a record already."""
    if len(candidates) < 2:
        return [None] * len(candidates)
    try:
        with calls.on_behalf_of(candidates):
            claims = invocation.runtime.store.claim_all([one.request for one in candidates])
    except Exception as failure:
        down = outcomes.outage("claim", failure)
        return invocation.runtime.each(lambda one: closing.close(invocation, one.archived.received, down), candidates)
    return [
        None if claim is None else _claimed(invocation, one, claim)
        for one, claim in zip(candidates, claims, strict=True)
    ]


def _claim(invocation: Invocation, candidate: _Candidate) -> Claimed | Suspect | Ended:
    received = candidate.archived.received
    try:
        answer = invocation.runtime.store.claim(candidate.request)
    except Exception as failure:
        return closing.close(invocation, received, outcomes.outage("claim", failure))
    if isinstance(answer, Claim):
        return _claimed(invocation, candidate, answer)
    if isinstance(answer, Leased) and answer.is_interrupted:
        return Suspect(candidate.archived)
    return closing.close(invocation, received, outcomes.taken(answer, received.delivery.message_id))


def _claimed(invocation: Invocation, candidate: _Candidate, claim: Claim) -> Claimed:
    received = candidate.archived.received
    claimed = Claimed(received, candidate.archived.origin, claim)
    if claimed.is_last and not received.delivery.is_last:
        _mark_dead(invocation, claimed, claim)
    received.log(logs.debug, "claimed", "event claimed", attempt=claim.number)
    return claimed


def _mark_dead(invocation: Invocation, claimed: Claimed, claim: Claim) -> None:
    """Mark the record dead before an attempt that only its claim showed to be the last, in case it is killed."""
    note = dlqnote.of(claimed.received.delivery, invocation.runtime.clock(), by_sqs=True)
    try:
        invocation.runtime.store.mark_dead(claimed.received.event, claim, note)
    except Exception as failure:  # the attempt itself may still succeed, and its end is written anyway
        claimed.received.log(logs.warning, "claim", f"AWS call failed: {failure}")
