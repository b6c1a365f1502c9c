"""Lambda: the published versions of a function, and the aliases that point at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.errors import AwsError

if TYPE_CHECKING:
    from rtp.aws import Aws


@dataclass(frozen=True, slots=True)
class Versions:
    """The published versions of a function.

    numbers: all, the newest first. aliased: those that an alias sends calls to, also a share of them.
    is_shifting: an alias sends calls to two versions: a rollout is running.
    """

    numbers: tuple[int, ...]
    aliased: frozenset[int] = frozenset()
    is_shifting: bool = False


def of_function(aws: Aws, name: str) -> Versions:
    """The versions of a function; none where it does not exist. Raises AwsError."""
    try:
        answers = list(aws.pages("lambda", "list_versions_by_function", "Versions", FunctionName=name))
        aliases = list(aws.pages("lambda", "list_aliases", "Aliases", FunctionName=name))
    except AwsError as error:
        if error.service_code == "ResourceNotFoundException":
            return Versions(())
        raise
    numbers = sorted((int(v["Version"]) for v in answers if str(v.get("Version", "")).isdecimal()), reverse=True)
    shares = [(alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {} for alias in aliases]
    targets = [str(alias.get("FunctionVersion", "")) for alias in aliases] + [n for share in shares for n in share]
    return Versions(
        tuple(numbers),
        frozenset(int(number) for number in targets if number.isdecimal()),
        any(shares),
    )


def delete(aws: Aws, name: str, number: int) -> None:
    """Delete a version. Lambda refuses one that an alias points at. One that is gone is no error."""
    try:
        aws.call("lambda", "delete_function", FunctionName=name, Qualifier=str(number))
    except AwsError as error:
        if error.service_code != "ResourceNotFoundException":
            raise
