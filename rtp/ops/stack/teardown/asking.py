"""Asking each resource's own service whether it still exists, again while it may only not know yet that it is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import inventory as services
from rtp.aws import resource_types
from rtp.errors import AwsError, CredentialsError
from rtp.ops.stack.steps import Waiting
from rtp.ops.work import pool
from rtp.ops.work.clock import SYSTEM, Backoff
from rtp.ops.work.polling import every

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Mapping

    from rtp.aws import Aws
    from rtp.aws.lookups import Existence
    from rtp.aws.resource_types import ResourceType
    from rtp.ops.work.clock import Clock

_THREADS = 16
# SQS answers for a deleted queue for up to a minute; other services, and the search by tags, lag by seconds.
_SETTLE_S, _SETTLE_LOCAL_S = 90.0, 5.0


@dataclass(frozen=True, slots=True)
class Subject:
    """A resource to ask about, by its type and physical id."""

    type: str
    id: str

    @property
    def kind(self) -> ResourceType:
        """What is known about its type."""
        return resource_types.of(self.type)

    @property
    def name(self) -> str:
        """The physical id, or what is last in one that is a URL or an ARN."""
        if self.type == resource_types.LOG_GROUP:
            return self.id
        return last(self.id) if self.id.startswith(("arn:", "http")) else self.id


@dataclass(frozen=True, slots=True)
class NotAsked:
    """A resource of which nobody could say whether it is gone.

    kind: such as `bucket` or `queue`. why: why its service was not asked, or did not answer.
    """

    kind: str
    name: str
    why: str


Answers = dict[Subject, "Existence | NotAsked"]


def ask(
    aws: Aws, subjects: Collection[Subject], *, leaving: Collection[Subject], clock: Clock = SYSTEM
) -> Generator[Waiting, None, Answers]:
    """Ask about all of them. Raises CredentialsError.

    leaving: those that should be gone: while one of them exists, or is not answered for, it is asked again, up to 90 s.
    """
    answers: Answers = {}
    open_subjects = list(dict.fromkeys(subjects))
    pauses = Backoff(0.5, 1.0) if aws.local else Backoff(2.0, 10.0)
    for left_s in every(pauses, timeout_s=_SETTLE_LOCAL_S if aws.local else _SETTLE_S, clock=clock):
        latest = pool.map(lambda subject: _ask(aws, subject), open_subjects, threads=_THREADS)
        undecided = []
        for subject, (answer, may_change) in zip(open_subjects, latest, strict=True):
            answers[subject] = answer
            if subject in leaving and may_change:
                undecided.append(subject)
        open_subjects = undecided
        if not open_subjects:
            break
        yield Waiting(f"{_listed(open_subjects)} still exists by its service's answer; asking for {left_s:.0f} s more")
    return answers


def exists(answers: Mapping[Subject, Existence | NotAsked], subject: Subject) -> bool:
    """Whether its service has said that it exists."""
    answer = answers.get(subject)
    return answer is not None and not isinstance(answer, NotAsked) and answer.exists


def is_gone(answers: Mapping[Subject, Existence | NotAsked], subject: Subject) -> bool:
    """Whether its service has said that it does not exist."""
    answer = answers.get(subject)
    return answer is not None and not isinstance(answer, NotAsked) and not answer.exists


def last(text: str) -> str:
    """The name at the end of an ARN or a URL."""
    return text.rpartition(":")[2].rpartition("/")[2]


def _ask(aws: Aws, subject: Subject) -> tuple[Existence | NotAsked, bool]:
    """The answer, and whether it may be another one soon."""
    kind = subject.kind
    try:
        answer = services.lookup(aws, subject.type, subject.id)
    except CredentialsError:
        raise
    except AwsError as error:
        return NotAsked(kind.name, subject.name, error.message), error.passes
    if answer is None:
        return NotAsked(kind.name, subject.name, "rtp knows no call that asks for it"), False
    return answer, answer.exists and not answer.ends


def _listed(subjects: list[Subject]) -> str:
    first = subjects[0]
    more = f" and {len(subjects) - 1} more" if len(subjects) > 1 else ""
    return f"{first.kind.name} {first.name}{more}"
