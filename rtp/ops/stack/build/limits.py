"""How much concurrency the API function may reserve; checked before CloudFormation fails over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import updates
from rtp.errors import AwsError, ConfigError

if TYPE_CHECKING:
    from rtp.aws import Aws
    from rtp.config import Environment

DEFAULT = 100  # of a protected environment that sets none
_UNRESERVED = 100  # what Lambda requires to be left to all other functions
_UNRESERVED_SMALL = 10  # the same in a new account, whose whole limit is below 100


@dataclass(frozen=True, slots=True)
class Reservation:
    """What the API function reserves; None for nothing. warning: why it is less than the default."""

    concurrency: int | None
    warning: str = ""


def reservation(aws: Aws, environment: Environment) -> Reservation:
    """What this account has room for. Raises ConfigError where the setting asks for more."""
    setting = environment.settings.reserved_concurrency
    if setting is None and not environment.protected:
        return Reservation(None)
    try:
        account = updates.concurrency(aws)
        own = updates.reserved(aws, environment.names.processor) or 0
    except AwsError as error:
        if error.code != "access-denied":
            raise
        return Reservation(setting, f"The account's concurrency cannot be read: {error.message}")
    floor = _UNRESERVED if account.limit > _UNRESERVED else _UNRESERVED_SMALL
    spare = account.unreserved + own - floor
    concurrency = DEFAULT if setting is None else setting
    if concurrency <= spare:
        return Reservation(concurrency)
    room = f"the account's limit is {account.limit}, of which {max(spare, 0)} can still be reserved"
    if setting is None:
        return Reservation(None, f"The API function reserves no concurrency: {room}.")
    raise ConfigError(
        f"reserved_concurrency = {setting} is too much: {room} in {aws.region}.",
        hint=f"Set it to {max(spare, 0)} or less under [env.{environment.name}], or have the limit raised.",
        code="concurrency",
    )
