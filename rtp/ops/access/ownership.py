"""Whose stack it is. Two projects can have the same stack name (shop + eu-dev, shop-eu + dev); its tags decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import changesets, inventory, stacks
from rtp.contract import Tag
from rtp.errors import AwsError, NotFoundError, RefusedError
from rtp.ops.access.question import Question

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.aws import Aws
    from rtp.aws.stacks import Stack
    from rtp.config import Environment

FIX = (
    "Choose another project or environment name in rtp.toml. "
    "If this project or environment was renamed, run `rtp deploy --take-over`."
)


@dataclass(frozen=True, slots=True)
class Owner:
    """The project and environment that the tags of a stack or resource name.

    project, environment: the tag's value; null without such a tag.
    """

    project: str | None
    environment: str | None

    def __str__(self) -> str:
        parts = ((Tag.PROJECT, self.project), (Tag.ENVIRONMENT, self.environment))
        return ", ".join(f"no tag {tag}" if value is None else f"{tag.lower()} {value!r}" for tag, value in parts)


NOBODY = Owner(None, None)


def named(tags: Mapping[str, str]) -> Owner:
    """The owner that these tags name."""
    return Owner(tags.get(Tag.PROJECT), tags.get(Tag.ENVIRONMENT))


def own(environment: Environment) -> Owner:
    """The owner in the tags of this environment's stack and resources."""
    return Owner(environment.project, environment.name)


def foreign(aws: Aws, stack: Stack | None, environment: Environment) -> Owner | None:
    """The owner of a stack, where that is not this environment; else None.

    A stack in review has no tags of its own yet: the change sets prepared for it have them. One without any change
    set holds nothing and is nobody's.
    """
    if stack is None:
        return None
    ours, owner = own(environment), named(stack.tags)
    if owner == ours:
        return None
    if stack.state.in_review and owner == NOBODY:
        owners = [named(tags) for tags in changesets.tags(aws, stack.name)]
        return next((each for each in owners if each != ours), None)
    return owner


def describe(environment: Environment, owner: Owner) -> str:
    """The owner of the stack and the current project, without a full stop."""
    stack = environment.names.stack
    if owner == NOBODY:
        text = f"The stack {stack} was not created by rtp: it has no tags Project and Environment"
        return f"{text}; this is {own(environment)}"
    return f"The stack {stack} belongs to {owner}; this is {own(environment)}"


def take_over(environment: Environment, owner: Owner) -> Question:
    """The question before a deploy takes over another project's stack."""
    about = (
        f"{describe(environment, owner)}.",
        "After that it runs this project's code and has this project's tags; its former owner can no longer deploy it.",
    )
    return Question(f"Take over {environment.names.stack}?", about, environment.names.stack)


def check(aws: Aws, stack: Stack | None, environment: Environment, *, former_owner: Owner | None = None) -> None:
    """Raises RefusedError where a stack is another's. None, no stack at all, passes.

    Everything that acts on a stack calls this, with the description that it then acts on.
    former_owner: whose stack this deploy was allowed to take over.
    """
    owner = foreign(aws, stack, environment)
    if owner is not None and owner != former_owner:
        raise _refusal(environment, owner, "Nothing was changed.")


def recheck(aws: Aws, environment: Environment, stack_id: str, *, former_owner: Owner | None = None) -> None:
    """As `check`, once more before what cannot be undone: during a prompt the stack may have changed hands.

    Raises also where it is gone, and where another stack has its name now.
    """
    name = environment.names.stack
    stack = stacks.describe(aws, name)
    if stack is None:
        raise NotFoundError(
            f"{name} was deleted during this command, which stopped there.",
            hint="Run `rtp status`.",
            code="not-deployed",
        )
    owner = foreign(aws, stack, environment)
    if owner is not None and owner != former_owner:
        raise _refusal(environment, owner, "It changed hands during this command, which stopped there.")
    if stack.id != stack_id:
        raise RefusedError(
            f"{name} was deleted and created again during this command, which stopped there.",
            hint="Run `rtp status`, then repeat the command.",
            code="stack-replaced",
        )


def of_others(aws: Aws, environment: Environment, arns: Mapping[str, str]) -> dict[str, bool | None]:
    """Of each name, whether the tags of its resource are another project's; None where they may not be read.

    arns: by name. A resource without the tags of an owner counts as ours: functions make log groups without any.
    """
    try:
        tags = inventory.tags(aws, list(arns.values()))
    except AwsError as error:
        if error.code == "access-denied":
            return dict.fromkeys(arns)
        raise
    owners = {name: named(tags.get(arn, {})) for name, arn in arns.items()}
    return {name: owner not in (own(environment), NOBODY) for name, owner in owners.items()}


def _refusal(environment: Environment, owner: Owner, end: str) -> RefusedError:
    return RefusedError(f"{describe(environment, owner)}. {end}", hint=FIX, code="foreign-stack")
