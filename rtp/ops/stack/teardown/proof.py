"""What a destroy has left, by each resource's own service and a search by name and tag."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.aws import logs, resource_types, stacks
from rtp.aws.resource_types import BUCKET, TABLE
from rtp.errors import AwsError
from rtp.ops.access import ownership
from rtp.ops.stack.teardown import search
from rtp.ops.stack.teardown.asking import Answers, NotAsked, Subject, ask, exists, is_gone, last
from rtp.ops.stack.teardown.inventory import Item, bootstrap, connect
from rtp.ops.work.clock import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Sequence

    from rtp.aws import Aws
    from rtp.aws.stacks import Resource
    from rtp.config import Environment
    from rtp.ops.stack.operation import Target
    from rtp.ops.stack.steps import Waiting
    from rtp.ops.work.clock import Clock


@dataclass(frozen=True, slots=True)
class Left:
    """Something that is still there.

    kind: such as `bucket` or `queue`. expected: whether the plan said so. why: the reason, or the next step.
    """

    kind: str
    name: str
    expected: bool
    why: str


@dataclass(frozen=True, slots=True)
class Gone:
    """What is known to be gone.

    asked: resources whose own service no longer knows them. with_parent: resources that exist only as a part of one
    that was asked and is gone. parents: what these parents are. not_asked: resources that may be gone or not.
    """

    asked: int
    with_parent: int
    parents: tuple[str, ...]
    not_asked: tuple[NotAsked, ...]

    @property
    def proven(self) -> int:
        """How many are gone for certain."""
        return self.asked + self.with_parent


@dataclass(frozen=True, slots=True)
class Proof:
    """What is gone and what is left, by the answers of each resource's own service.

    gone: what is known to be gone. left: what is still there.
    """

    stack: str
    gone: Gone
    left: tuple[Left, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing is left that should be gone."""
        return all(item.expected for item in self.left)


@dataclass(slots=True)
class _Findings:
    """The proof as it is put together."""

    asked: int = 0
    with_parent: int = 0
    parents: dict[str, None] = field(default_factory=dict)
    not_asked: list[NotAsked] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    def proof(self, stack: str) -> Proof:
        gone = Gone(self.asked, self.with_parent, tuple(self.parents), tuple(self.not_asked))
        return Proof(stack, gone, tuple(self.left))


def prove(
    target: Target,
    resources: Sequence[Resource],
    keep: frozenset[str],
    *,
    keep_data: bool,
    api_id: str,
    known: Sequence[str] = (),
    clock: Clock = SYSTEM,
) -> Generator[Waiting, None, Proof]:
    """Ask every resource's own service, and search by name and tag. Log groups that came back are deleted.

    keep: logical ids that are kept. known: names of what is accounted for elsewhere, such as secrets. Raises AwsError.
    """
    aws, environment = target.aws, target.environment
    lenient = keep_data or environment.protected  # then an earlier stack may have kept something on purpose
    connect(aws)
    subjects = {_subject(r): r for r in resources if r.physical_id and resource_types.of(r.resource_type).lookup}
    tagged, unknown = search.by_tags(aws, environment, known)
    own_names = {(s.type, last(s.id)) for s in subjects}
    hits = {s: arn for s, arn in tagged.items() if (s.type, last(s.id)) not in own_names}
    retained = _retained(aws, environment, hits)
    leaving = {s for s, r in subjects.items() if not _may_stay(r, keep)}
    leaving |= {s for s in hits if s.id not in retained and not (lenient and s.kind.kept_with_data)}
    answers = yield from ask(aws, [*subjects, *hits], leaving=leaving, clock=clock)
    findings = _Findings()
    _judge(target, subjects, answers, keep, findings)
    _judge_parts(resources, subjects, answers, keep, findings)
    findings.left += _foreign_groups(aws, environment, api_id, subjects, expected=lenient)
    present = {s: arn for s, arn in hits.items() if exists(answers, s)}
    findings.left += [_tagged(target, s, arn, answers, retained, expected=lenient) for s, arn in present.items()]
    findings.not_asked += [a for s in hits if isinstance(a := answers[s], NotAsked)] + unknown
    findings.left += [Left(i.kind, i.name, True, i.note) for i in bootstrap(aws, target.environment)]
    return findings.proof(target.name)


def orphans(
    target: Target, *, known: Sequence[str] = (), clock: Clock = SYSTEM
) -> Generator[Waiting, None, tuple[tuple[Item, ...], tuple[NotAsked, ...]]]:
    """What an earlier stack of the environment has left, by the stack's names and tags; and what could not be asked.

    A resource that has one of the names and another project's tags is that project's and is left out.
    known: names of what is accounted for elsewhere.
    """
    aws, environment = target.aws, target.environment
    connect(aws)
    named = search.by_name(aws, environment)
    tagged, not_asked = search.by_tags(aws, environment, known)
    subjects = named | tagged
    leaving = {s for s in subjects if not (s.kind.kept_with_data or s.kind.recreated)}
    answers = yield from ask(aws, list(subjects), leaving=leaving, clock=clock)
    not_asked += [a for a in answers.values() if isinstance(a, NotAsked)]
    present = {s for s in subjects if exists(answers, s) and not _ends(answers, s)}
    others = search.of_others(aws, environment, {s: arn for s, arn in named.items() if s in present})
    present -= others
    retained = _retained(aws, environment, present)
    items = {
        (s.kind.name, s.name): Item(s.kind.name, s.name, _origin(environment, s, retained))
        for s in subjects
        if s in present
    }
    return tuple(items.values()), tuple(not_asked)


def _subject(resource: Resource) -> Subject:
    return Subject(resource.resource_type, resource.physical_id)


def _may_stay(resource: Resource, keep: frozenset[str]) -> bool:
    """Whether a resource that still exists is as it should be, or is created again by its service."""
    return resource.logical_id in keep or _is_older(resource) or resource_types.of(resource.resource_type).recreated


def _is_older(resource: Resource) -> bool:
    """Whether it may have existed before the stack, which could not create one of its name."""
    kind = resource_types.of(resource.resource_type)
    return resource.status.never_created and (kind.kept_with_data or kind.recreated)


def _judge(
    target: Target, subjects: dict[Subject, Resource], answers: Answers, keep: frozenset[str], findings: _Findings
) -> None:
    """What the services said of the stack's own resources."""
    recreated: list[str] = []  # log groups that a function's last lines have created again
    older = [s for s, r in subjects.items() if _is_older(r) and exists(answers, s)]
    retained = _retained(target.aws, target.environment, older)
    for subject, resource in subjects.items():
        answer, kind = answers[subject], subject.kind
        if isinstance(answer, NotAsked):
            findings.not_asked.append(answer)
        elif not answer.exists:
            findings.asked += 1
        elif answer.ends:
            findings.left.append(Left(kind.name, subject.id, True, f"will be deleted on {answer.ends}"))
        elif resource.logical_id in keep:
            findings.left.append(Left(kind.name, subject.id, True, "kept"))
        elif subject in older:
            findings.left.append(Left(kind.name, subject.id, True, _origin(target.environment, subject, retained)))
        elif kind.recreated:
            recreated.append(subject.id)
        else:
            findings.left.append(Left(kind.name, subject.id, False, "should be gone"))
    arns = {name: search.log_group_arn(target.aws, name) for name in recreated}
    for name, others in ownership.of_others(target.aws, target.environment, arns).items():
        if others is None:
            unread = "created again; not deleted, because its tags could not be read"
            findings.left.append(Left("log group", name, True, unread))
            continue
        if not others:
            logs.delete_group(target.aws, name)
        findings.asked += 1


def _judge_parts(
    resources: Sequence[Resource],
    subjects: dict[Subject, Resource],
    answers: Answers,
    keep: frozenset[str],
    findings: _Findings,
) -> None:
    """What follows for the resources that no service is asked for: each goes with those of its parent's type."""
    for resource in resources:
        kind = resource_types.of(resource.resource_type)
        if kind.lookup is not None and resource.physical_id:
            continue
        parents = [s for s in subjects if s.type == kind.part_of]
        present = [s for s in parents if not is_gone(answers, s)]
        name = resource.physical_id or resource.logical_id
        if resource.logical_id in keep and not kind.calls_function:
            findings.left.append(Left(kind.name, name, True, "kept"))
        elif kind.lookup is not None:
            findings.not_asked.append(NotAsked(kind.name, name, "CloudFormation has no physical id of it"))
        elif not kind.part_of:
            findings.not_asked.append(NotAsked(kind.name, name, "rtp knows no call that asks for this type"))
        elif present or not parents:
            parent = resource_types.of(kind.part_of).name
            why = (
                f"it is part of the {parent} {present[0].name}, which is not gone" if present else f"no {parent} to ask"
            )
            findings.not_asked.append(NotAsked(kind.name, name, why))
        else:
            findings.with_parent += 1
            findings.parents[resource_types.of(kind.part_of).name] = None


def _foreign_groups(
    aws: Aws, environment: Environment, api_id: str, subjects: Collection[Subject], *, expected: bool
) -> list[Left]:
    """Log groups of the stack's names that are not among its resources."""
    asked = {s.id for s in subjects}
    arns = {n: search.log_group_arn(aws, n) for n in search.log_groups(aws, environment, api_id) if n not in asked}
    owners = ownership.of_others(aws, environment, arns)
    return [Left("log group", name, expected, "not of the stack") for name, others in owners.items() if not others]


def _tagged(
    target: Target, subject: Subject, arn: str, answers: Answers, retained: frozenset[str], *, expected: bool
) -> Left:
    """What has the stack's tags, is not of the stack, and exists by the answer of its own service."""
    kind, names = subject.kind, target.environment.names
    if ends := _ends(answers, subject):
        return Left(kind.name, subject.name, True, f"of an earlier deploy, will be deleted on {ends}")
    own = (Subject(TABLE, names.table), Subject(BUCKET, names.bucket(target.aws.account, target.aws.region)))
    is_data = kind.holds_data and kind.kept_with_data
    if is_data and (subject.id in retained or any(exists(answers, s) for s in own)):
        return Left(kind.name, subject.id, True, _origin(target.environment, subject, retained))
    return Left(kind.name, arn, expected, "has the stack's tags")


def _ends(answers: Answers, subject: Subject) -> str:
    """The date of its pending deletion; empty where none is pending."""
    answer = answers[subject]
    return "" if isinstance(answer, NotAsked) else answer.ends


def _retained(aws: Aws, environment: Environment, subjects: Collection[Subject]) -> frozenset[str]:
    """Physical ids of what earlier stacks have kept; asked only where there is data. Empty where it may not be read."""
    if not any(s.kind.kept_with_data for s in subjects):
        return frozenset()
    try:
        return stacks.retained(aws, environment.names.stack)
    except AwsError as error:
        if error.code == "access-denied":
            return frozenset()
        raise


def _origin(environment: Environment, subject: Subject, retained: frozenset[str]) -> str:
    """Why a resource of an earlier stack exists, as far as CloudFormation knows it."""
    if subject.id in retained:
        return f"kept by an earlier `rtp destroy{'' if environment.protected else ' --keep-data'}`"
    return "of an earlier stack" if subject.kind.kept_with_data or subject.kind.recreated else ""
