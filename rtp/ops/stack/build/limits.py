"""How much concurrency the processor may reserve, before CloudFormation finds out the hard way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import updates
from rtp.errors import AwsError, ConfigError

if TYPE_CHECKING:
    from rtp.aws import Aws
    from rtp.config import Environment

WANTED = 100  # of a protected environment that does not say
_LEFT = 100  # what Lambda insists on leaving to all other functions
_LEFT_SMALL = 10  # the same in a new account, whose whole limit is below 100


@dataclass(frozen=True, slots=True)
class Reservation:
    """What the processor reserves; None for nothing. warning: why it is less than one would expect."""

    concurrency: int | None
    warning: str = ""


def reservation(aws: Aws, environment: Environment) -> Reservation:
    """What fits this account. Raises ConfigError when the settings ask for more than there is."""
    asked = environment.settings.reserved_concurrency
    if asked is None and not environment.protected:
        return Reservation(None)
    try:
        account = updates.concurrency(aws)
        own = updates.reserved(aws, environment.names.processor) or 0
    except AwsError as error:
        if error.code != "access-denied":
            raise
        return Reservation(asked, f"The account's concurrency cannot be read: {error.message}")
    floor = _LEFT if account.limit > _LEFT else _LEFT_SMALL
    spare = account.unreserved + own - floor
    wanted = WANTED if asked is None else asked
    if wanted <= spare:
        return Reservation(wanted)
    said = f"the account allows {account.limit} at once and {max(spare, 0)} can still be reserved"
    if asked is None:
        return Reservation(None, f"The processor reserves no concurrency: {said}.")
    raise ConfigError(
        f"reserved_concurrency = {asked} does not fit: {said} in {aws.region}.",
        hint=f"Set it to {max(spare, 0)} or less under [env.{environment.name}], or have the account's limit raised.",
        code="concurrency",
    )
