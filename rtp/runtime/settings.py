"""Read the functions' settings from environment variables, which the stack sets by the names in rtp/contract.py."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Settings(NamedTuple):
    """Names of the pipeline's resources, and its behaviour; backoff in seconds."""

    project: str = "rtp"
    env: str = "local"
    function: str = "rtp"
    table: str = ""
    bucket: str = ""
    queue_url: str = ""
    dlq_url: str = ""
    processors: str = ""
    max_receive_count: int = 5
    backoff_base: float = 1
    backoff_cap: float = 300
    index_shards: int = 4
    batch_concurrency: int = 10
    log_level: str = "INFO"


_VARIABLES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "RTP_PROJECT": ("project", str),
    "RTP_ENV": ("env", str),
    "AWS_LAMBDA_FUNCTION_NAME": ("function", str),
    "RTP_TABLE": ("table", str),
    "RTP_BUCKET": ("bucket", str),
    "RTP_QUEUE_URL": ("queue_url", str),
    "RTP_DLQ_URL": ("dlq_url", str),
    "RTP_PROCESSORS": ("processors", str),
    "RTP_MAX_RECEIVE_COUNT": ("max_receive_count", int),
    "RTP_BACKOFF_BASE": ("backoff_base", float),
    "RTP_BACKOFF_CAP": ("backoff_cap", float),
    "RTP_INDEX_SHARDS": ("index_shards", int),
    "RTP_BATCH_CONCURRENCY": ("batch_concurrency", int),
    "RTP_LOG_LEVEL": ("log_level", str),
}


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this function. A missing variable gives the default: it must not fail the import."""
    env = os.environ if environ is None else environ
    return Settings(**{field: kind(env[name]) for name, (field, kind) in _VARIABLES.items() if name in env})
