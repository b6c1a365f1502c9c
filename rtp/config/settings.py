"""Every setting of an environment: type, default, range, description."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from rtp.config import secret_sources
from rtp.config.permissions import Permission  # noqa: TC001 (msgspec reads the type)

Architecture = Literal["arm64", "x86_64"]
Rollout = Literal["all-at-once", "canary-10-5m", "linear-10-1m"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
LogRetentionDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]
_NAME = "^[A-Za-z][A-Za-z0-9_]+$"
VariableName = Annotated[str, Meta(pattern=_NAME)]
FUNCTIONS = {"functions": True}
"""Meta.extra of a setting that the functions read, from the environment variable RTP_<NAME>."""
EmailAddress = Annotated[str, Meta(pattern="@")]
SubnetId = Annotated[str, Meta(pattern="^subnet-[0-9a-f]{8,17}$")]
Cidr = Annotated[str, Meta(pattern="^[0-9A-Fa-f.:]+/[0-9]{1,3}$")]
Auth = Literal["key", "iam"]
SecurityGroupId = Annotated[str, Meta(pattern="^sg-[0-9a-f]{8,17}$")]


class Vpc(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The private network of the functions; without subnets they have none. Lambda takes 16 subnets and 5 groups."""

    subnets: Annotated[tuple[SubnetId, ...], Meta(max_length=16)] = ()
    security_groups: Annotated[tuple[SecurityGroupId, ...], Meta(max_length=5)] = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of the pipeline in `[defaults]` and `[env.*]`."""

    memory_mb: Annotated[
        int,
        Meta(
            ge=128,
            le=10240,
            description="memory of each function in MB; at 128 MB, events of 256 KiB are processed one by one",
        ),
    ] = 512
    timeout_s: Annotated[
        int,
        Meta(
            ge=1,
            le=900,
            description="timeout of the worker in seconds; of the processor at most 29, the API's limit",
        ),
    ] = 30
    architecture: Annotated[Architecture, Meta(description="instruction set of the functions")] = "arm64"
    snap_start: Annotated[bool, Meta(description="whether published versions use Lambda SnapStart")] = False
    reserved_concurrency: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=10000,
                description="reserved concurrency of the processor; unset: 100 if protected and the account allows it",
            ),
        ]
        | None
    ) = None
    environment: Annotated[
        dict[VariableName, str],
        Meta(
            description="environment variables of the functions; tables are merged name by name",
            extra={"allowed": 'a table of texts such as { PARTNER_URL = "https://…" }'},
        ),
    ] = msgspec.field(default_factory=dict)
    secrets: Annotated[
        dict[VariableName, str],
        Meta(
            description="secrets that the functions may read; lists and tables are merged name by name",
            extra={"allowed": f"a list of names, or a table of sources: {secret_sources.FORMS}"},
        ),
    ] = msgspec.field(default_factory=dict)
    secrets_key: (
        Annotated[
            str,
            Meta(
                pattern=secret_sources.KEY,
                description="KMS key under which `rtp secrets set` encrypts; unset: aws/ssm",
                extra={"allowed": "the ARN, id or alias of a KMS key, in quotes"},
            ),
        ]
        | None
    ) = None
    permissions: Annotated[
        tuple[Permission, ...],
        Meta(
            description="what the roles of both functions allow besides what rtp needs; those of [env.NAME] are added "
            "to those of [defaults]",
            extra={
                "allowed": 'a list of tables such as { actions = ["dynamodb:GetItem"], resources = ["arn:…"] }',
                "added": True,
                "nested": True,
            },
        ),
    ] = ()
    vpc: Annotated[
        Vpc,
        Meta(
            description="the functions' subnets and security groups in your VPC; not used on the local engine",
            extra={
                "allowed": 'a table such as { subnets = ["subnet-…"], security_groups = ["sg-…"] }',
                "nested": True,
            },
        ),
    ] = Vpc()
    layers: Annotated[
        tuple[str, ...],
        Meta(
            max_length=4,  # of Lambda's five, rtp's own is one
            description="layer versions to add to both functions; not used on the local engine",
            extra={"allowed": 'a list of at most 4 ARNs such as "arn:aws:lambda:{region}:111122223333:layer:ffmpeg:3"'},
        ),
    ] = ()
    ephemeral_storage_mb: Annotated[int, Meta(ge=512, le=10240, description="size of /tmp of each function in MB")] = (
        512
    )
    log_level: Annotated[LogLevel, Meta(description="lowest level that the functions log", extra=FUNCTIONS)] = "INFO"
    log_retention_days: Annotated[LogRetentionDays, Meta(description="days until CloudWatch deletes log lines")] = 30
    api_logs: Annotated[
        bool,
        Meta(description="whether API Gateway writes an access log and its errors; it needs a role of the account"),
    ] = True
    trace_percent: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=100,
                description=(
                    "percentage of the API's requests that X-Ray traces, after the first of each second; unset: as the "
                    "account's sampling rules say; 0: traces only what a client decides to trace"
                ),
            ),
        ]
        | None
    ) = None

    auth: Annotated[
        Auth,
        Meta(
            description="what the API wants of a caller: an API key, or a signature of an IAM identity of the account "
            "that may execute-api:Invoke; docs/security.md says what each protects"
        ),
    ] = "key"
    allowed_cidrs: Annotated[
        tuple[Cidr, ...],
        Meta(
            max_length=100,  # the API's resource policy has 8,192 bytes
            description="addresses that may call the API, by its resource policy; empty: any address",
            extra={"allowed": 'a list of networks such as "192.0.2.0/24"'},
        ),
    ] = ()
    waf_acl_arn: (
        Annotated[
            str,
            Meta(
                pattern="^arn:aws[a-z-]*:wafv2:[a-z0-9-]+:[0-9]{12}:regional/webacl/[^/]+/[^/]+$",
                description="web ACL of AWS WAF that the API's stage is associated with; not used on the local engine",
                extra={"allowed": "the ARN of a regional web ACL, in quotes"},
            ),
        ]
        | None
    ) = None
    stack_key_version: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="raise it to replace the stack's own API key, which rtp itself uses, at the next deploy",
        ),
    ] = 1
    throttle_rate: Annotated[
        int, Meta(ge=1, le=10000, description="throttle of the API's stage in requests per second")
    ] = 1000
    throttle_burst: Annotated[int, Meta(ge=1, le=10000, description="burst of the API's stage in requests")] = 2000
    key_rate: Annotated[int, Meta(ge=1, le=10000, description="throttle of an API key in requests per second")] = 100
    key_burst: Annotated[int, Meta(ge=1, le=10000, description="burst of an API key in requests")] = 200
    daily_quota: Annotated[int, Meta(ge=1, le=1000000000, description="quota of an API key in requests per day")] = (
        10_000
    )

    batch_size: Annotated[int, Meta(ge=1, le=10, description="maximum messages in one batch of the worker")] = 10
    batch_concurrency: Annotated[
        int, Meta(ge=1, le=100, description="events of one batch that are processed in parallel", extra=FUNCTIONS)
    ] = 10
    worker_concurrency: Annotated[
        int, Meta(ge=2, le=1000, description="maximum concurrent workers (maximum concurrency of the event source)")
    ] = 10
    max_receive_count: Annotated[
        int, Meta(ge=2, le=1000, description="attempts before SQS moves a message to the DLQ", extra=FUNCTIONS)
    ] = 5
    backoff_base_s: Annotated[
        int,
        Meta(
            ge=0,
            le=900,
            description="delay before the second attempt in seconds; it doubles with each attempt",
            extra=FUNCTIONS,
        ),
    ] = 1
    backoff_cap_s: Annotated[
        int, Meta(ge=1, le=43200, description="longest delay between attempts in seconds", extra=FUNCTIONS)
    ] = 300
    queue_retention_days: Annotated[
        int, Meta(ge=1, le=14, description="days until a message expires in the queue; at most dlq_retention_days")
    ] = 4
    dlq_retention_days: Annotated[
        int, Meta(ge=1, le=14, description="days until a message expires in the DLQ", extra=FUNCTIONS)
    ] = 14

    index_shards: Annotated[
        int,
        Meta(
            ge=1,
            le=100,
            description="partitions of the status index; each takes about 1,000 writes per second",
            extra=FUNCTIONS,
        ),
    ] = 4
    raw_expiry_days: Annotated[int, Meta(ge=1, le=3650, description="days until raw events expire")] = 7
    processed_ia_days: Annotated[
        int, Meta(ge=30, le=3650, description="days until results move to the infrequent-access storage class")
    ] = 30

    alarm_emails: Annotated[
        tuple[EmailAddress, ...],
        Meta(
            description="addresses that get an e-mail when an alarm fires",
            extra={"allowed": "a list of e-mail addresses"},
        ),
    ] = ()
    alarm_causes: Annotated[
        bool,
        Meta(
            description="whether the alarm topic also gets a message about each group of failures: cause, count, "
            "release, deadline and the command to run; docs/alerts.md has its form"
        ),
    ] = False
    alarm_webhook: (
        Annotated[
            str,
            Meta(
                pattern=_NAME,
                description="name of the secret with the address of a chat's webhook, which gets these messages; "
                "unset: none",
                extra={"allowed": "a name of `secrets`, in quotes"},
            ),
        ]
        | None
    ) = None
    alarm_errors: Annotated[
        int, Meta(ge=1, le=1000000, description="the alarm fires from this number of function errors in 5 minutes")
    ] = 5
    alarm_duration_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=900000,
            description="the alarm fires when the slowest 5 % of runs take at least this for three minutes, in ms",
        ),
    ] = 20_000
    alarm_throttles: Annotated[
        int, Meta(ge=1, le=1000000, description="the alarm fires from this number of function throttles in 5 minutes")
    ] = 1
    alarm_dlq_messages: Annotated[
        int, Meta(ge=1, le=1000000, description="the alarm fires from this number of messages in the DLQ")
    ] = 1
    alarm_api_4xx: Annotated[
        int, Meta(ge=1, le=1000000, description="the alarm fires from this number of client errors (4xx) in 5 minutes")
    ] = 10
    alarm_api_5xx: Annotated[
        int, Meta(ge=1, le=1000000, description="the alarm fires from this number of server errors (5xx) in 5 minutes")
    ] = 1
    alarm_queue_age_s: Annotated[
        int,
        Meta(
            ge=1,
            le=1209600,
            description="the alarm fires when the oldest message in the queue has this age, in seconds",
        ),
    ] = 300
    alarm_worker_failures: Annotated[
        int,
        Meta(
            ge=1,
            le=1000000,
            description="the alarm fires from this number of failed attempts of the worker in 5 minutes",
        ),
    ] = 5

    rollout: Annotated[Rollout, Meta(description="how traffic moves to a new version")] = "all-at-once"

    @property
    def is_notified(self) -> bool:
        """Whether the stack has the notifier."""
        return self.alarm_causes or self.alarm_webhook is not None

    @property
    def function_secrets(self) -> dict[str, str]:
        """The secrets that processors may read: all but the webhook's address."""
        return {name: source for name, source in self.secrets.items() if name != self.alarm_webhook}
