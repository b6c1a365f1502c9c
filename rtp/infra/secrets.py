"""What the functions need for their secrets: a variable with the sources, and permission for just these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_iam as iam

from rtp.config import secret_sources
from rtp.config.secret_sources import SECRETS_MANAGER, SSM
from rtp.contract import FunctionEnv

if TYPE_CHECKING:
    from rtp.infra.plan import Plan

_READS = {SSM: ("Parameters", "ssm:GetParameter"), SECRETS_MANAGER: ("Secrets", "secretsmanager:GetSecretValue")}


def variables(plan: Plan) -> dict[str, str]:
    """The variable with the source of each secret; none without secrets."""
    text = secret_sources.encoded(plan.settings.secrets)
    return {FunctionEnv.SECRETS: text} if text else {}


def statements(plan: Plan) -> list[iam.PolicyStatement]:
    """Reading the declared secrets, and decrypting them under `secrets_key`. AWS's own keys need no permission."""
    sources = [secret_sources.parse(text) for text in plan.settings.secrets.values()]
    allowed = []
    for service, (sid, action) in _READS.items():
        arns = {s.arn(plan.partition, plan.region, plan.account) for s in sources if s.service == service}
        if arns:
            allowed.append(iam.PolicyStatement(sid=sid, actions=[action], resources=sorted(arns)))
    if sources and plan.settings.secrets_key is not None:
        allowed.append(_decrypt(plan, plan.settings.secrets_key, {source.service for source in sources}))
    return allowed


def key_arn(plan: Plan, key: str) -> str:
    """The key's ARN for a policy; all keys where an alias names it, which a condition then limits."""
    if alias_of(key):
        place = key.rpartition(":")[0] if key.startswith("arn:") else plan.arn("kms", "").rstrip(":")
        return f"{place}:key/*"
    return key if key.startswith("arn:") else plan.arn("kms", f"key/{key}")


def alias_of(key: str) -> str:
    """The alias that names the key; empty where its id or ARN does."""
    name = key.rpartition(":")[2]
    return name if name.startswith("alias/") else ""


def _decrypt(plan: Plan, key: str, services: set[str]) -> iam.PolicyStatement:
    conditions: dict[str, dict[str, object]] = {
        "StringEquals": {"kms:ViaService": sorted(f"{service}.{plan.region}.amazonaws.com" for service in services)}
    }
    if alias := alias_of(key):
        conditions["ForAnyValue:StringEquals"] = {"kms:ResourceAliases": alias}
    return iam.PolicyStatement(
        sid="SecretsKey", actions=["kms:Decrypt"], resources=[key_arn(plan, key)], conditions=conditions
    )
