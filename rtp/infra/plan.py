"""The input of one synthesis: the environment and the packed assets. It is sent to the child interpreter as JSON."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from rtp.config.permissions import Permission, filled, placeholder_values, resolved
from rtp.config.settings import Settings, Vpc  # noqa: TC001 (msgspec reads the type when it decodes)
from rtp.contract import MANAGED_BY, Alarm, Names, Tag, partition


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One environment in one account and region, ready to be built. Paths are absolute.

    extend: the user's file that adds constructs; empty for none. root: the project's folder.
    """

    project: str
    env: str
    owner: str
    account: str
    region: str
    protected: bool
    local: bool
    version: str
    code: str
    layer: str
    processors: str
    reserved_concurrency: int | None
    settings: Settings
    out: str
    extend: str = ""
    root: str = ""

    @property
    def names(self) -> Names:
        """Physical names of the resources."""
        return Names(self.project, self.env)

    @property
    def published(self) -> bool:
        """Whether functions are called through an alias of a published version, for a rollback of a bad one."""
        return not self.local and (self.protected or self.settings.snap_start or self.shifted)

    @property
    def shifted(self) -> bool:
        """Whether CodeDeploy shifts the traffic to a new version in steps."""
        return not self.local and self.settings.rollout != "all-at-once"

    @property
    def snap_started(self) -> bool:
        """Whether published versions start from a snapshot."""
        return not self.local and self.settings.snap_start

    @property
    def traced(self) -> bool:
        """Whether API and functions begin traces by themselves. Otherwise only a caller's decision begins one."""
        return self.settings.trace_percent != 0

    @property
    def sampled(self) -> bool:
        """Whether the stack has a sampling rule of its own. The local engine records every trace."""
        return not self.local and self.settings.trace_percent is not None and self.traced

    @property
    def emptied(self) -> bool:
        """Whether the stack empties its buckets when it is deleted. On the local engine `rtp destroy` empties them."""
        return not self.local and not self.protected

    @property
    def notified(self) -> bool:
        """Whether the stack has the notifier, and so the table a stream."""
        return self.settings.is_notified

    @property
    def alarms(self) -> list[Alarm]:
        """The pipeline's alarms; a rollout has others besides."""
        return [alarm for alarm in Alarm if self.notified or alarm is not Alarm.NOTIFIER_ERRORS]

    @property
    def permissions(self) -> list[Permission]:
        """The permissions of rtp.toml for both functions, with the values of their placeholders."""
        return [resolved(p, self._placeholders) for p in self.settings.permissions]

    @property
    def layers(self) -> list[str]:
        """ARNs of the layers that rtp.toml adds. The local engine has none of an account's layers."""
        return [] if self.local else [filled(arn, self._placeholders) for arn in self.settings.layers]

    @property
    def web_acl(self) -> str:
        """ARN of the web ACL of the API's stage; empty for none. The local engine has no WAF."""
        return "" if self.local else filled(self.settings.waf_acl_arn or "", self._placeholders)

    @property
    def vpc(self) -> Vpc | None:
        """The functions' private network. On the local engine they run on this machine."""
        return self.settings.vpc if self.settings.vpc.subnets and not self.local else None

    @property
    def _placeholders(self) -> dict[str, str]:
        return placeholder_values(self.project, self.env, self.account, self.region)

    @property
    def tags(self) -> dict[str, str]:
        """Tags of every resource that can have tags."""
        return {
            Tag.ENVIRONMENT: self.env,
            Tag.PROJECT: self.project,
            Tag.MANAGED_BY: MANAGED_BY,
            Tag.OWNER: self.owner,
        }

    def arn(self, service: str, resource: str) -> str:
        """ARN of a resource of this account and region, for policies in which a reference would be circular."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    @property
    def partition(self) -> str:
        """AWS partition of the region."""
        return partition(self.region)

    def dumps(self) -> str:
        """Encode as JSON."""
        return msgspec.json.encode(self, order="sorted").decode()

    @classmethod
    def loads(cls, text: str) -> Plan:
        """Decode from JSON."""
        return msgspec.json.decode(text, type=cls)
