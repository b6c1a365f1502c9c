"""A new role has its permissions only some time after its creation."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

from rtp.local.weather import delays
from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from rtp.local.weather.call import Call, Response

_KEY = re.compile(r"Credential=([^/,\s]+)/")
_SHORT = ("s3", "sqs", "sns", "cloudformation", "iam", "sts")  # services whose code has no suffix


class Permissions(Effect):
    """A function whose role is seconds old is refused. Only with AUTH=true, where the engine enforces policies."""

    name = "permissions"
    summary = (
        f"The permissions of a new role have no effect for a while ({delays.PERMISSION}): its calls get AccessDenied. "
        "Only with AUTH=true, where functions sign with credentials of their roles."
    )
    source = (
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency"
    )

    async def before(self, call: Call) -> Response | None:
        """Refuse the calls of a role that was created a moment ago."""
        key = _KEY.search(call.headers.get("authorization", ""))
        role = self.role(key[1]) if key else ""
        created = self.created(role) if role else None
        if created is None or self.now() >= created + delays.PERMISSION.of(role):
            return None
        code = "AccessDenied" if call.service in _SHORT else "AccessDeniedException"
        status = 403 if call.service in (*_SHORT, "lambda") else 400
        action = f"{call.service}:{call.operation}"
        return call.error(code, f"{role} is not authorized to perform: {action}", status)

    def role(self, access_key_id: str) -> str:
        """The name of the role that a temporary key belongs to; empty for other keys."""
        from ministack.services import sts

        arn = str(sts._sessions.get(access_key_id, {}).get("Arn", ""))
        return arn.split("/")[1] if ":assumed-role/" in arn else ""

    def created(self, role: str) -> float | None:
        """When the engine created the role, in seconds since 1970; None if there is none."""
        from ministack.services import iam

        record = iam._roles.get(role)
        return datetime.fromisoformat(record["CreateDate"]).timestamp() if record else None
