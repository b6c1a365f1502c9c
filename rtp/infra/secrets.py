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
    text = secret_sources.encoded(plan.settings.function_secrets)
    return {FunctionEnv.SECRETS: text} if text else {}


def statements(plan: Plan) -> list[iam.PolicyStatement]:
    """What processors need to read their secrets."""
    return reading(plan, list(plan.settings.function_secrets.values()))


def reading(plan: Plan, texts: list[str]) -> list[iam.PolicyStatement]:
    """Reading these sources, and decrypting them under `secrets_key`. AWS's own keys need no permission."""
    sources = [secret_sources.parse(text) for text in texts]
    allowed = []
    for service, (sid, action) in _READS.items():
        arns = {s.arn(plan.partition, plan.region, plan.account) for s in sources if s.service == service}
        if arns:
            allowed.append(iam.PolicyStatement(sid=sid, actions=[action], resources=sorted(arns)))
    if sources and plan.settings.secrets_key is not None:
        allowed.append(_decrypt(plan, plan.settings.secrets_key, {source.service for source in sources}))
    return allowed


def _decrypt(plan: Plan, key: str, services: set[str]) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid="SecretsKey",
        actions=["kms:Decrypt"],
        resources=[secret_sources.key_arn(key, plan.region, plan.account)],
        conditions=secret_sources.key_condition(key, services, plan.region),
    )
