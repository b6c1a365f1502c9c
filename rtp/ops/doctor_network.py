"""Whether functions in a VPC reach the services that they call, by routes, endpoints and security groups.

It does not check network ACLs, policies of endpoints and name resolution. Of routes it follows those to a NAT gateway.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.aws import networks
from rtp.config import secret_sources
from rtp.errors import AwsError
from rtp.ops.doctor import Check, fail, failed, ok, unknown, warn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rtp.aws import Aws
    from rtp.aws.networks import Endpoint, Group, RouteTable, Subnet
    from rtp.config import Environment

_NAME = "network"
_NEEDED = ("dynamodb", "s3", "sqs")
_GATEWAYS = ("dynamodb", "s3")  # the services that have gateway endpoints, which cost nothing
_TRACES = "xray"  # without it the daemon in the function drops the traces


@dataclass(slots=True)
class _Vpc:
    """The functions' subnets and groups, and what their VPC has.

    nat: NAT gateway -> why it does not lead out; empty where it does. reasons: why a service is not reached.
    """

    subnets: Sequence[Subnet]
    own_groups: Sequence[Group]
    tables: Sequence[RouteTable]
    endpoints: Sequence[Endpoint]
    endpoint_groups: dict[str, Group]
    nat: dict[str, str]
    reasons: dict[str, None] = field(default_factory=dict)


def reachable(aws: Aws, environment: Environment) -> Check:
    """Every subnet must reach every service that the functions call."""
    setting = environment.settings.vpc
    try:
        subnets = networks.subnets(aws, setting.subnets)
        groups = networks.groups(aws, setting.security_groups)
        if wrong := _misplaced(environment, subnets, groups):
            return wrong
        vpc = _read(aws, subnets, groups)
    except AwsError as error:
        return unknown(_NAME, error) or failed(_NAME, error)
    if not any(group.egress.any for group in groups):
        names = ", ".join(group.id for group in groups)
        return fail(_NAME, f"{names} lets no HTTPS out.", "Add an outbound rule for TCP port 443 to a security group.")
    needed = [*_NEEDED, *_secret_services(environment)]
    missing = {service: cut for service in needed if (cut := _cut_off(vpc, service))}
    if missing:
        return _unreached(aws, vpc, missing)
    if cut := _cut_off(vpc, _TRACES):
        return warn(
            _NAME,
            f"{_listed(cut)} may not reach {_TRACES}: traces of the functions would be lost.",
            f"Add an interface endpoint for {_TRACES} with private DNS names to {subnets[0].vpc}.",
        )
    ways = ", ".join(dict.fromkeys(w for subnet in subnets if (w := _table(vpc, subnet).target)))
    assumed = [w for w in ways.split(", ") if w and not w.startswith(("nat-", "igw-"))]
    detail = f"{len(subnets)} subnets of {subnets[0].vpc} reach {', '.join(needed)}"
    return ok(_NAME, f"{detail}{f', if {_listed(assumed)} leads to the internet' if assumed else ''}")


def _misplaced(environment: Environment, subnets: Sequence[Subnet], groups: Sequence[Group]) -> Check | None:
    """What Lambda would refuse: a subnet or group that does not exist, or more than one VPC."""
    setting = environment.settings.vpc
    existing = {*(s.id for s in subnets), *(g.id for g in groups)}
    absent = [id for id in (*setting.subnets, *setting.security_groups) if id not in existing]
    if absent:
        text = f"{', '.join(absent)} does not exist in {environment.region}, or these credentials do not see it."
        return fail(_NAME, text, "Correct vpc in rtp.toml.")
    vpcs = sorted({*(s.vpc for s in subnets), *(g.vpc for g in groups)})
    if len(vpcs) > 1:
        return fail(
            _NAME,
            f"The subnets and security groups are in {len(vpcs)} VPCs: {', '.join(vpcs)}.",
            "Name those of one VPC: a function is in one.",
        )
    return None


def _read(aws: Aws, subnets: Sequence[Subnet], groups: Sequence[Group]) -> _Vpc:
    id = subnets[0].vpc
    tables, endpoints = networks.route_tables(aws, id), networks.endpoints(aws, id)
    ids = sorted({group for endpoint in endpoints for group in endpoint.groups})
    of_endpoints = {group.id: group for group in networks.groups(aws, ids)}
    vpc = _Vpc(subnets, groups, tables, endpoints, of_endpoints, {})
    for target in dict.fromkeys(_table(vpc, subnet).target for subnet in subnets):
        if target.startswith("nat-"):
            vpc.nat[target] = networks.nat_gateway(aws, target)
    return vpc


def _secret_services(environment: Environment) -> list[str]:
    """The services of the declared secrets, as far as they are in the functions' region."""
    sources = map(secret_sources.parse, environment.settings.secrets.values())
    return sorted({s.service for s in sources if s.region in ("", environment.region)})


def _cut_off(vpc: _Vpc, service: str) -> list[str]:
    """The subnets that do not reach a service."""
    return [s.id for s in vpc.subnets if not (_has_default(vpc, s) or any(_ways(vpc, s, service)))]


def _has_default(vpc: _Vpc, subnet: Subnet) -> bool:
    """Whether a subnet's default route leads out; notes why one does not."""
    table = _table(vpc, subnet)
    if not table.target:
        return False
    problem = ""
    if not table.is_active:
        problem = "is gone"
    elif table.target.startswith("igw-"):
        problem = "is an internet gateway, and a function has no public address"
    else:
        problem = vpc.nat.get(table.target, "")
    if problem:
        vpc.reasons[f"the default route of {table.id} leads to {table.target}, which {problem}"] = None
    return not problem


def _ways(vpc: _Vpc, subnet: Subnet, service: str) -> Iterator[bool]:
    """For each endpoint of a service whether the subnet reaches it; notes why not."""
    for endpoint in vpc.endpoints:
        if endpoint.service != service:
            continue
        if endpoint.is_gateway:
            problem = "" if _table(vpc, subnet).id in endpoint.tables else f"is not in {_table(vpc, subnet).id}"
        elif not endpoint.private_dns:
            problem = "has no private DNS names"
        else:
            problem = "" if _lets_in(vpc, endpoint, subnet) else f"lets no HTTPS in from {subnet.id}"
        if problem:
            vpc.reasons[f"{endpoint.id} ({service}) {problem}"] = None
        yield not problem


def _lets_in(vpc: _Vpc, endpoint: Endpoint, subnet: Subnet) -> bool:
    """Whether a security group of an interface endpoint lets the functions in."""
    own = {group.id for group in vpc.own_groups}
    peers = [group.ingress for id in endpoint.groups if (group := vpc.endpoint_groups.get(id)) is not None]
    if len(peers) < len(endpoint.groups):
        return True  # one cannot be seen
    return not peers or any(
        own & set(peer.groups) or peer.lists or any(_contains(cidr, subnet.cidr) for cidr in peer.cidrs)
        for peer in peers
    )


def _contains(cidr: str, part: str) -> bool:
    try:
        return ipaddress.ip_network(part, strict=False).overlaps(ipaddress.ip_network(cidr, strict=False))
    except (TypeError, ValueError):  # of another version of IP, or none
        return False


def _table(vpc: _Vpc, subnet: Subnet) -> RouteTable:
    """The route table of a subnet: the one that names it, else the VPC's main one."""
    own = next((table for table in vpc.tables if subnet.id in table.subnets), None)
    main = next((table for table in vpc.tables if table.is_main), None)
    return own or main or networks.RouteTable("no route table", frozenset(), is_main=True, target="", is_active=True)


def _unreached(aws: Aws, vpc: _Vpc, missing: dict[str, list[str]]) -> Check:
    cut = list(dict.fromkeys(subnet for subnets in missing.values() for subnet in subnets))
    reasons = "; ".join(vpc.reasons) or "there is no default route and no endpoint"
    detail = f"{_listed(cut)} cannot reach {', '.join(missing)}: {reasons}."
    gateways = [service for service in missing if service in _GATEWAYS]
    interfaces = [service for service in missing if service not in _GATEWAYS]
    kinds = [f"gateway endpoints for {_listed(gateways)} in their route tables"] if gateways else []
    kinds += [f"interface endpoints with private DNS names for {_listed(interfaces)}"] if interfaces else []
    fix = f"Route 0.0.0.0/0 of the subnets to a public NAT gateway, or add to {vpc.subnets[0].vpc}: {'; '.join(kinds)}."
    owners = {subnet.owner for subnet in vpc.subnets if subnet.owner not in ("", aws.account)}
    if owners:  # whose endpoints cannot be seen from here
        return warn(
            _NAME, f"{detail} The VPC is account {_listed(sorted(owners))}'s, whose endpoints are not seen.", fix
        )
    return fail(_NAME, detail, fix)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
