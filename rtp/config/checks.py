"""Checks of an environment that depend on more than one key."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from rtp.config import function_checks
from rtp.errors import ConfigError
from rtp.trust import endpoints

if TYPE_CHECKING:
    from rtp.config import Environment


def check(environment: Environment, where: str) -> None:
    """Check an environment that is resolved. where: the file. Raises ConfigError."""
    settings = environment.settings
    if settings.queue_retention_days > settings.dlq_retention_days:
        # SQS counts the DLQ's retention from the first enqueue: the message would expire before anybody sees it.
        raise ConfigError(
            f"{where}: queue_retention_days = {settings.queue_retention_days} is more than "
            f"dlq_retention_days = {settings.dlq_retention_days}.",
            hint="Set dlq_retention_days to at least queue_retention_days.",
        )
    if settings.backoff_base_s > settings.backoff_cap_s:
        raise ConfigError(f"{where}: backoff_base_s = {settings.backoff_base_s} is more than backoff_cap_s.")
    function_checks.check(settings, environment.region, where)
    _check_access(environment, where)
    bucket = environment.names.bucket("0" * 12, environment.region)
    if len(bucket) > 63:
        raise ConfigError(
            f"{where}: the bucket's name {environment.names.stack}-<account>-{environment.region} is "
            f"{len(bucket)} characters; S3 takes 63.",
            hint="Shorten the project's or the environment's name.",
        )
    if environment.weather is not False and not environment.embedded and environment.file:
        raise ConfigError(
            f"{where}: weather is the local engine's; the environment {environment.name} has none.",
            hint="Set weather in [env.local].",
        )
    _check_endpoint(environment, where)


def _check_access(environment: Environment, where: str) -> None:
    """Check the networks of allowed_cidrs, and that the web ACL is one that this environment's API can have."""
    settings = environment.settings
    for text in settings.allowed_cidrs:
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            raise ConfigError(
                f"{where}: allowed_cidrs: {text!r} is not a network.", hint='Write networks such as "192.0.2.0/24".'
            ) from None
        address = ip_address(text.partition("/")[0])
        if address != network.network_address:
            raise ConfigError(
                f"{where}: allowed_cidrs: {text!r} is an address within a network.",
                hint=f'Write "{network}" for the network, or "{address}/{network.max_prefixlen}" for the address.',
            )
    region = "" if settings.waf_acl_arn is None else settings.waf_acl_arn.split(":")[3]
    if region and region != environment.region and not environment.local:
        raise ConfigError(
            f"{where}: waf_acl_arn is a web ACL of {region}, and {environment.name} is in {environment.region}.",
            hint=f"Name a regional web ACL of {environment.region}.",
        )


def _check_endpoint(environment: Environment, where: str) -> None:
    url = environment.endpoint_url
    if url is None:
        return
    endpoint = endpoints.parse(url)
    if endpoint is None:
        shown = "endpoint_url has a user name or an `@`, and" if "@" in url else f"endpoint_url {url!r}"
        raise ConfigError(
            f"{shown} is not a URL such as http://127.0.0.1:4566.",
            hint="Write scheme, host and port; requests are signed, so that no user name or password belongs there.",
        )
    if environment.enforce_iam:
        raise ConfigError(
            f"{where}: enforce_iam and endpoint_url cannot be combined.",
            hint="rtp cannot switch another emulator: start it with its own option, and leave enforce_iam out.",
        )
    if environment.name == "local" and endpoint.host not in endpoints.LOOPBACK:
        raise ConfigError(
            f"{where}: the environment local accepts only an endpoint on this machine, not {url}.",
            hint="Define another environment for that endpoint.",
        )
