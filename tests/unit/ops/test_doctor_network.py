"""doctor's check of a VPC: which subnets reach the services that the functions call, by what EC2 describes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rtp.config import Environment
from rtp.config.settings import Settings, Vpc
from rtp.errors import AwsError
from rtp.ops import doctor_account, doctor_network
from tests.unit.deploy.fakes import FakeAws
from tests.unit.deploy.stubs import ACCOUNT, stubbed

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.ops.doctor import Check

A, B, SG, VPC, NAT = "subnet-0000000a", "subnet-0000000b", "sg-00000001", "vpc-1", "nat-1"
HTTPS = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
ANYWHERE = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
TO_NAT = {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": NAT, "State": "active"}


def environment(root: Path, **settings: Any) -> Environment:
    vpc = Vpc(subnets=(A, B), security_groups=(SG,))
    return Environment(name="dev", root=root, settings=Settings(vpc=vpc, **settings))


def endpoint(service: str, **values: Any) -> dict[str, Any]:
    """An interface endpoint that lets the subnets in; with RouteTableIds a gateway endpoint."""
    kind = "Gateway" if "RouteTableIds" in values else "Interface"
    return {
        "VpcEndpointId": f"vpce-{service}",
        "ServiceName": f"com.amazonaws.us-east-1.{service}",
        "VpcEndpointType": kind,
        "State": "available",
        "PrivateDnsEnabled": kind == "Interface",
        **values,
    }


def cloud(
    *,
    route: dict[str, Any] | None = None,
    endpoints: tuple[dict[str, Any], ...] = (),
    groups: tuple[dict[str, Any], ...] = (),
    nat: dict[str, Any] | None = None,
    owner: str = ACCOUNT,
    egress: dict[str, Any] = ANYWHERE,
) -> Any:
    """A VPC with two subnets: A has the route table rt-a, B the main one, without a default route."""
    a = {"RouteTableId": "rt-a", "Associations": [{"SubnetId": A, "Main": False}], "Routes": [route] if route else []}
    main = {"RouteTableId": "rt-main", "Associations": [{"Main": True}], "Routes": [route] if route else []}
    cidrs = {A: "10.0.1.0/24", B: "10.0.2.0/24"}
    own = {"GroupId": SG, "VpcId": VPC, "IpPermissions": [], "IpPermissionsEgress": [egress]}

    def of_groups(Filters: list[dict[str, Any]]) -> Any:
        return {"SecurityGroups": [g for g in (own, *groups) if g["GroupId"] in Filters[0]["Values"]]}

    return FakeAws(
        {
            "describe_subnets": lambda **_: {
                "Subnets": [{"SubnetId": i, "VpcId": VPC, "CidrBlock": c, "OwnerId": owner} for i, c in cidrs.items()]
            },
            "describe_security_groups": of_groups,
            "describe_route_tables": lambda **_: {"RouteTables": [a, main]},
            "describe_vpc_endpoints": lambda **_: {"VpcEndpoints": endpoints},
            "describe_nat_gateways": lambda **_: {"NatGateways": [nat or {"State": "available"}]},
        }
    )


def check(aws: Any, root: Path, **settings: Any) -> Check:
    return doctor_network.reachable(aws, environment(root, **settings))


GATEWAYS = tuple(endpoint(service, RouteTableIds=["rt-a", "rt-main"]) for service in ("s3", "dynamodb"))


def test_a_nat_gateway_is_a_way_to_every_service(tmp_path: Path) -> None:
    result = check(cloud(route=TO_NAT), tmp_path)
    assert (result.verdict, result.fix) == ("ok", "")
    assert "2 subnets of vpc-1 reach dynamodb, s3, sqs" in result.detail


def test_endpoints_are_enough(tmp_path: Path) -> None:
    # Given gateway endpoints in both tables, and interface endpoints whose group lets the functions' group in
    group = {"GroupId": "sg-e", "IpPermissions": [{**HTTPS, "UserIdGroupPairs": [{"GroupId": SG}]}]}
    interfaces = tuple(endpoint(service, Groups=[{"GroupId": "sg-e"}]) for service in ("sqs", "xray", "ssm"))
    aws = cloud(endpoints=(*GATEWAYS, *interfaces), groups=(group,))
    result = check(aws, tmp_path, secrets={"T": "ssm:/shop/dev/T"})
    assert (result.verdict, result.detail) == ("ok", "2 subnets of vpc-1 reach dynamodb, s3, sqs, ssm")
    # And without the one for traces only these are lost
    result = check(cloud(endpoints=(*GATEWAYS, *interfaces[:1]), groups=(group,)), tmp_path)
    assert result.verdict == "warn" and "traces" in result.detail and "xray" in result.fix


def test_what_is_missing_is_named_with_both_ways_to_add_it(tmp_path: Path) -> None:
    # Given a gateway endpoint that is in the table of one subnet alone, and none for SQS and for the secret
    partly = endpoint("dynamodb", RouteTableIds=["rt-a"])
    result = check(cloud(endpoints=(GATEWAYS[0], partly)), tmp_path, secrets={"T": "secretsmanager:team"})
    # Then
    assert result.verdict == "fail"
    assert "cannot reach dynamodb, sqs, secretsmanager: vpce-dynamodb (dynamodb) is not in rt-main." in result.detail
    assert f"{B} and {A}" in result.detail
    assert "public NAT gateway" in result.fix
    assert "gateway endpoints for dynamodb in their route tables" in result.fix
    assert "interface endpoints with private DNS names for sqs and secretsmanager" in result.fix


@pytest.mark.parametrize(
    ("route", "nat", "reason"),
    [
        ({"GatewayId": "igw-1"}, None, "leads to igw-1, which is an internet gateway, and a function has no public"),
        ({"NatGatewayId": NAT, "State": "blackhole"}, None, "leads to nat-1, which is gone"),
        ({"NatGatewayId": NAT}, {"State": "failed"}, "leads to nat-1, which is failed"),
        ({"NatGatewayId": NAT}, {"State": "available", "ConnectivityType": "private"}, "which is private"),
        (None, None, "there is no default route and no endpoint"),
    ],
)
def test_a_default_route_that_leads_nowhere_is_explained(
    tmp_path: Path, route: dict[str, Any] | None, nat: dict[str, Any] | None, reason: str
) -> None:
    default = {"DestinationCidrBlock": "0.0.0.0/0", "State": "active", **route} if route else None
    result = check(cloud(route=default, nat=nat), tmp_path)
    assert result.verdict == "fail" and reason in result.detail


@pytest.mark.parametrize(
    ("values", "ingress", "reason"),
    [
        ({"PrivateDnsEnabled": False}, [ANYWHERE], "vpce-sqs (sqs) has no private DNS names"),
        ({}, [{**HTTPS, "IpRanges": [{"CidrIp": "10.0.2.0/24"}]}], f"vpce-sqs (sqs) lets no HTTPS in from {A}"),
        ({}, [{**ANYWHERE, "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}], f"lets no HTTPS in from {A}"),
        ({"State": "pendingAcceptance"}, [ANYWHERE], "no default route and no endpoint"),
        ({"ServiceName": "com.amazonaws.eu-west-1.sqs"}, [ANYWHERE], "no default route and no endpoint"),
    ],
)
def test_an_endpoint_that_does_not_take_the_calls_does_not_count(
    tmp_path: Path, values: dict[str, Any], ingress: list[dict[str, Any]], reason: str
) -> None:
    group = {"GroupId": "sg-e", "IpPermissions": ingress}
    aws = cloud(endpoints=(*GATEWAYS, endpoint("sqs", Groups=[{"GroupId": "sg-e"}], **values)), groups=(group,))
    result = check(aws, tmp_path)
    assert result.verdict == "fail" and reason in result.detail and "cannot reach sqs:" in result.detail


def test_another_way_out_is_not_followed_and_said(tmp_path: Path) -> None:
    route = {"DestinationCidrBlock": "0.0.0.0/0", "TransitGatewayId": "tgw-1", "State": "active"}
    result = check(cloud(route=route), tmp_path)
    assert result.verdict == "ok" and "if tgw-1 leads to the internet" in result.detail


def test_a_group_that_lets_nothing_out_is_named(tmp_path: Path) -> None:
    result = check(cloud(route=TO_NAT, egress={**HTTPS, "FromPort": 5432, "ToPort": 5432}), tmp_path)
    assert result.verdict == "fail" and f"{SG} lets no HTTPS out" in result.detail


def test_endpoints_of_a_shared_vpc_may_not_be_seen(tmp_path: Path) -> None:
    result = check(cloud(owner="444455556666"), tmp_path)
    assert result.verdict == "warn" and "account 444455556666's" in result.detail


def test_a_subnet_that_does_not_exist_and_a_second_vpc_are_named(tmp_path: Path) -> None:
    aws = cloud(route=TO_NAT)
    aws.answers["describe_subnets"] = lambda **_: {"Subnets": [{"SubnetId": A, "VpcId": "vpc-2"}]}
    result = check(aws, tmp_path)
    assert result.verdict == "fail" and f"{B} does not exist in us-east-1" in result.detail
    both = [{"SubnetId": id, "VpcId": "vpc-2"} for id in (A, B)]
    aws.answers["describe_subnets"] = lambda **_: {"Subnets": both}
    assert "are in 2 VPCs: vpc-1, vpc-2" in check(aws, tmp_path).detail


def test_without_permission_nothing_is_claimed(tmp_path: Path) -> None:
    def denied(**_: Any) -> Any:
        raise AwsError("no", code="access-denied")

    aws = cloud()
    aws.answers["describe_vpc_endpoints"] = denied
    assert check(aws, tmp_path).verdict == "warn"


def test_the_calls_have_the_shapes_of_ec2(tmp_path: Path) -> None:
    vpc = [{"Name": "vpc-id", "Values": [VPC]}]
    with stubbed("ec2") as (aws, stubs):
        rows = [{"SubnetId": id, "VpcId": VPC, "CidrBlock": "10.0.1.0/24", "OwnerId": ACCOUNT} for id in (A, B)]
        asked = {"Filters": [{"Name": "subnet-id", "Values": [A, B]}]}
        stubs["ec2"].add_response("describe_subnets", {"Subnets": rows}, asked)
        group = {"GroupId": SG, "VpcId": VPC, "IpPermissionsEgress": [ANYWHERE]}
        asked = {"Filters": [{"Name": "group-id", "Values": [SG]}]}
        stubs["ec2"].add_response("describe_security_groups", {"SecurityGroups": [group]}, asked)
        table = {"RouteTableId": "rt", "Associations": [{"Main": True}], "Routes": [TO_NAT]}
        stubs["ec2"].add_response("describe_route_tables", {"RouteTables": [table]}, {"Filters": vpc})
        endpoints = {"VpcEndpoints": [endpoint("sqs", Groups=[])]}
        stubs["ec2"].add_response("describe_vpc_endpoints", endpoints, {"Filters": vpc})
        nat = {"NatGateways": [{"NatGatewayId": NAT, "State": "available", "ConnectivityType": "public"}]}
        asked = {"Filter": [{"Name": "nat-gateway-id", "Values": [NAT]}]}
        stubs["ec2"].add_response("describe_nat_gateways", nat, asked)
        assert check(aws, tmp_path).verdict == "ok"


def test_doctor_asks_only_where_there_is_a_vpc(tmp_path: Path) -> None:
    with_vpc = doctor_account.checks(FakeAws(), environment(tmp_path))  # type: ignore[arg-type]
    without = doctor_account.checks(FakeAws(), Environment(name="dev", root=tmp_path))  # type: ignore[arg-type]
    assert len(with_vpc) == len(without) + 1
