"""EC2: the subnets and security groups of the functions, and the routes and endpoints of their VPC."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rtp.aws import Aws

_HTTPS = 443
_EVERYWHERE = "0.0.0.0/0"
_TARGETS = (  # of a route, the first that is set
    "NatGatewayId",
    "GatewayId",
    "TransitGatewayId",
    "VpcPeeringConnectionId",
    "CarrierGatewayId",
    "LocalGatewayId",
    "CoreNetworkArn",
    "NetworkInterfaceId",
    "InstanceId",
)


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet. owner: the account that it belongs to, which may share it with others."""

    id: str
    vpc: str
    cidr: str
    owner: str


@dataclass(frozen=True, slots=True)
class RouteTable:
    """A route table. subnets: those that name it; is_main: it is that of all others.

    target: where the default route leads, such as `nat-…`; empty without one. is_active: False where that is gone.
    """

    id: str
    subnets: frozenset[str]
    is_main: bool
    target: str
    is_active: bool


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A usable VPC endpoint. service: such as `sqs`. tables: that a gateway endpoint is in.

    private_dns: an interface endpoint gets the calls that name the service as usual. groups: its security groups.
    """

    id: str
    service: str
    is_gateway: bool
    private_dns: bool
    tables: frozenset[str]
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Peers:
    """Who a security group lets HTTPS to or from. lists: ids of prefix lists."""

    cidrs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether there is anybody."""
        return bool(self.cidrs or self.groups or self.lists)


@dataclass(frozen=True, slots=True)
class Group:
    """A security group: who it lets HTTPS from (ingress) and to (egress)."""

    id: str
    vpc: str
    ingress: Peers = field(default_factory=Peers)
    egress: Peers = field(default_factory=Peers)


def subnets(aws: Aws, ids: Sequence[str]) -> list[Subnet]:
    """Those of these subnets that exist. Raises AwsError."""
    rows = aws.pages("ec2", "describe_subnets", "Subnets", Filters=[_filter("subnet-id", *ids)])
    return [Subnet(r["SubnetId"], r["VpcId"], r.get("CidrBlock", ""), r.get("OwnerId", "")) for r in rows]


def groups(aws: Aws, ids: Sequence[str]) -> list[Group]:
    """Those of these security groups that exist. Raises AwsError."""
    if not ids:
        return []
    rows = aws.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=[_filter("group-id", *ids)])
    return [
        Group(r["GroupId"], r.get("VpcId", ""), _peers(r.get("IpPermissions")), _peers(r.get("IpPermissionsEgress")))
        for r in rows
    ]


def route_tables(aws: Aws, vpc: str) -> list[RouteTable]:
    """The route tables of a VPC. Raises AwsError."""
    rows = aws.pages("ec2", "describe_route_tables", "RouteTables", Filters=[_filter("vpc-id", vpc)])
    return [_route_table(row) for row in rows]


def endpoints(aws: Aws, vpc: str) -> list[Endpoint]:
    """The usable endpoints of a VPC for services of its region. Raises AwsError."""
    filters = [_filter("vpc-id", vpc)]
    usable = []
    for row in aws.pages("ec2", "describe_vpc_endpoints", "VpcEndpoints", Filters=filters):
        prefix, _, service = row["ServiceName"].rpartition(".")
        if row.get("State", "").lower() == "available" and prefix.endswith(f".{aws.region}"):
            usable.append(
                Endpoint(
                    row["VpcEndpointId"],
                    service,
                    row.get("VpcEndpointType", "Gateway") == "Gateway",
                    bool(row.get("PrivateDnsEnabled")),
                    frozenset(row.get("RouteTableIds") or ()),
                    tuple(group["GroupId"] for group in row.get("Groups") or ()),
                )
            )
    return usable


def nat_gateway(aws: Aws, id: str) -> str:
    """Why a NAT gateway does not lead to the internet; empty where it does. Raises AwsError."""
    rows = list(aws.pages("ec2", "describe_nat_gateways", "NatGateways", Filter=[_filter("nat-gateway-id", id)]))
    if not rows:
        return "does not exist"
    state = rows[0].get("State", "available")
    if state not in ("available", "pending"):
        return f"is {state}"
    return "is private" if rows[0].get("ConnectivityType", "public") == "private" else ""


def _filter(name: str, *values: str) -> dict[str, Any]:
    return {"Name": name, "Values": list(values)}


def _route_table(row: Mapping[str, Any]) -> RouteTable:
    associations = row.get("Associations") or ()
    default: Mapping[str, Any] = next(
        (r for r in row.get("Routes") or () if r.get("DestinationCidrBlock") == _EVERYWHERE), {}
    )
    target = next((str(default[key]) for key in _TARGETS if default.get(key)), "")
    return RouteTable(
        row["RouteTableId"],
        frozenset(a["SubnetId"] for a in associations if a.get("SubnetId")),
        any(a.get("Main") for a in associations),
        target,
        default.get("State", "active") == "active",
    )


def _peers(permissions: Sequence[Mapping[str, Any]] | None) -> Peers:
    """The peers of the rules that let HTTPS through."""
    rules = [p for p in permissions or () if _is_https(p)]
    return Peers(
        tuple(r["CidrIp"] for p in rules for r in p.get("IpRanges") or ()),
        tuple(r["GroupId"] for p in rules for r in p.get("UserIdGroupPairs") or ()),
        tuple(r["PrefixListId"] for p in rules for r in p.get("PrefixListIds") or ()),
    )


def _is_https(permission: Mapping[str, Any]) -> bool:
    protocol = permission.get("IpProtocol")
    in_range = permission.get("FromPort", 0) <= _HTTPS <= permission.get("ToPort", 65_535)
    return protocol == "-1" or (protocol in ("tcp", "6") and in_range)
