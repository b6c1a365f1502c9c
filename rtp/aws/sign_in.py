"""Credentials of roles and SSO: MFA codes asked for by rtp, sessions cached where the AWS CLI caches its own."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rtp.text import suggest

if TYPE_CHECKING:
    from collections.abc import Callable

_PROVIDERS = ("assume-role", "assume-role-with-web-identity", "sso")
_CLI_CACHE = "~/.aws/cli/cache"


class SessionCache:
    """The AWS CLI's cache of temporary credentials: an MFA code is asked for once a session, by whichever came first.

    at_least_s: sessions that end sooner count as missing. A folder that cannot be written makes no difference.
    """

    def __init__(self, at_least_s: float) -> None:
        from botocore.utils import JSONFileCache

        self._files = JSONFileCache(os.path.expanduser(_CLI_CACHE))  # noqa: PTH111 - a missing home is no error
        self._at_least_s = at_least_s

    def __contains__(self, key: str) -> bool:
        try:
            ends = str(self._files[key]["Credentials"]["Expiration"]).replace("UTC", "+00:00")
            left = datetime.fromisoformat(ends) - datetime.now(UTC)
        except (KeyError, TypeError, ValueError):
            return False
        return left.total_seconds() >= self._at_least_s

    def __getitem__(self, key: str) -> Any:
        return self._files[key]

    def __setitem__(self, key: str, value: Any) -> None:
        with suppress(OSError):
            self._files[key] = value


def prepare(session: Any, prompt: Callable[[str], str], *, at_least_s: float) -> None:
    """Give a botocore session the cache, and `prompt` for MFA codes; it is called with the question."""
    from botocore.exceptions import UnknownCredentialError

    cache = SessionCache(at_least_s)
    resolver = session.get_component("credential_provider")
    for name in _PROVIDERS:
        with suppress(UnknownCredentialError):
            provider = resolver.get_provider(name)
            provider.cache = cache
            if name == "assume-role":
                provider._prompter = prompt  # botocore has no public way to set it


def variables(session: Any) -> dict[str, str]:
    """The session's credentials as environment variables. Raises botocore's errors."""
    from botocore.exceptions import NoCredentialsError

    credentials = session.get_credentials()
    if credentials is None:
        raise NoCredentialsError
    keys = credentials.get_frozen_credentials()
    named = {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key}
    return named | ({"AWS_SESSION_TOKEN": keys.token} if keys.token else {})


def ends_within(session: Any, seconds: float) -> bool:
    """Whether the credentials are temporary and end within so many seconds. Raises botocore's errors."""
    credentials = session.get_credentials()
    refresh_needed = getattr(credentials, "refresh_needed", None)
    if refresh_needed is None:
        return False
    credentials.get_frozen_credentials()
    return bool(refresh_needed(seconds))


def no_terminal(profile: str | None) -> str:
    """What to do where an MFA code is needed and nobody can be asked."""
    command = suggest.command("aws", "sts", "get-caller-identity", profile=profile or None)
    return suggest.sentence(
        "Run {} in a terminal first; rtp uses the session that it caches.",
        command,
        otherwise="Run a command of the AWS CLI with this profile in a terminal first; rtp uses its cached session.",
    )
