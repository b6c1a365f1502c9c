"""Resources of a stack that were deleted outside CloudFormation, by the answers of their own services."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import inventory, resource_types, stacks
from rtp.errors import AwsError, CredentialsError, RtpError
from rtp.ops.work import pool
from rtp.ops.work.clock import SYSTEM
from rtp.ops.work.polling import every
from rtp.text import suggest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.aws import Aws
    from rtp.aws.lookups import Existence
    from rtp.aws.stacks import Resource
    from rtp.ops.work.clock import Clock

_THREADS = 16
_SETTLE_S, _SETTLE_LOCAL_S = 2.0, 0.4  # a service may not know yet what was created a moment ago


@dataclass(frozen=True, slots=True)
class Missing:
    """A resource that the stack has and its service has not.

    kind: such as `queue` or `API key`. holds_data: whether what it held is lost with it.
    ends: the date of its pending deletion, until which it can be saved; else empty.
    """

    kind: str
    name: str
    logical_id: str
    holds_data: bool
    ends: str = ""

    @property
    def problem(self) -> str:
        """What is wrong, with the command that repairs it."""
        if self.ends:
            cancel = suggest.command("aws", "kms", "cancel-key-deletion", key_id=self.name)
            keep = suggest.sentence("; {} and `aws kms enable-key` keep it", cancel)
            return f"the {self.kind} {self.name} will be deleted on {self.ends} and its data be unreadable then{keep}"
        return f"the {self.kind} {self.name} was deleted outside CloudFormation; `rtp deploy` creates it again"


@dataclass(frozen=True, slots=True)
class Found:
    """What is missing, and why nothing is known of other resources, one text each."""

    missing: tuple[Missing, ...]
    unread: tuple[str, ...] = ()

    @property
    def gone(self) -> tuple[Missing, ...]:
        """Those that do not exist any more, without those whose deletion is pending."""
        return tuple(m for m in self.missing if not m.ends)


def find(aws: Aws, stack_id: str, *, clock: Clock = SYSTEM) -> Found:
    """Ask the service of each resource whether it exists, and again where one does not. Raises AwsError.

    A part of another resource, such as a permission of a function, is not asked about: it goes with that one.
    """
    listed = [r for r in stacks.resources(aws, stack_id) if r.physical_id and r.status.complete]
    resources = [r for r in listed if resource_types.of(r.resource_type).lookup is not None]
    aws.connect("s3", "dynamodb", "sqs", "logs", "lambda", "apigateway", "cloudwatch", "iam", "kms", "sns")
    missing: dict[str, Missing] = {}
    unread: dict[str, None] = {}
    for _ in every(0.2 if aws.local else 1.0, timeout_s=_SETTLE_LOCAL_S if aws.local else _SETTLE_S, clock=clock):
        for resource, answer in zip(resources, _ask(aws, resources), strict=True):
            kind, logical_id = resource_types.of(resource.resource_type), resource.logical_id
            missing.pop(logical_id, None)
            if isinstance(answer, AwsError):
                unread[f"{kind.name} {_name(resource)}: {answer.message}"] = None
            elif answer is not None and (not answer.exists or answer.ends):
                missing[logical_id] = Missing(kind.name, _name(resource), logical_id, kind.holds_data, answer.ends)
        resources = [r for r in resources if r.logical_id in missing and not missing[r.logical_id].ends]
        if not resources:
            break
    return Found(tuple(missing.values()), tuple(unread))


def _ask(aws: Aws, resources: Sequence[Resource]) -> list[Existence | AwsError | None]:
    def ask(resource: Resource) -> Existence | AwsError | None:
        try:
            return inventory.lookup(aws, resource.resource_type, resource.physical_id)
        except CredentialsError:
            raise
        except AwsError as error:
            return error

    return list(pool.map(ask, resources, threads=_THREADS))


def _name(resource: Resource) -> str:
    """The physical id, or the name at the end of one that is a URL or an ARN."""
    physical_id = resource.physical_id
    if physical_id.startswith(("arn:", "http")):
        return physical_id.rpartition("/")[2].rpartition(":")[2]
    return physical_id


def announcement(missing: Missing) -> str:
    """What a deploy does about a resource that is gone."""
    text = f"The {missing.kind} {missing.name} was deleted outside CloudFormation. It is created again"
    if not missing.holds_data:
        return f"{text}."
    text += ", empty: what it held is lost."
    if missing.kind == resource_types.of(resource_types.TABLE).name:  # point-in-time recovery makes one of each table
        text += " DynamoDB keeps a system backup of a deleted table for 35 days, to restore into another table."
    return text


def not_restored(stack: str, missing: Sequence[Missing]) -> RtpError:
    """The error of a deploy after which these are still missing."""
    named = ", ".join(f"the {m.kind} {m.name}" for m in missing)
    return RtpError(
        f"CloudFormation does not create again what was deleted outside it in {stack}: {named}.",
        hint="Create it by hand with that name. Or delete the stack and keep its data with "
        "`rtp destroy --keep-data`, then take the data into a new stack with `rtp deploy --adopt`.",
        code="not-restored",
    )
