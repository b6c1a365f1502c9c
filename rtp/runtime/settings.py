"""Read the functions' settings from the environment variables that the stack sets, and Lambda."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Settings(NamedTuple):
    """Names of the pipeline's resources, and those settings of rtp.toml that the functions read.

    A field has the type of its default; its name is that of the setting.
    """

    project: str = "rtp"
    env: str = "local"
    function: str = "rtp"
    table: str = ""
    bucket: str = ""
    queue_url: str = ""
    dlq_url: str = ""
    processors: str = ""
    max_receive_count: int = 5
    dlq_retention_days: int = 14
    backoff_base_s: float = 1.0
    backoff_cap_s: float = 300.0
    index_shards: int = 4
    batch_concurrency: int = 10
    log_level: str = "INFO"
    memory_mb: int = 512


LAMBDA_VARIABLES = {"function": "AWS_LAMBDA_FUNCTION_NAME", "memory_mb": "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"}
VARIABLES = {field: LAMBDA_VARIABLES.get(field, f"RTP_{field.upper()}") for field in Settings._fields}


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this function. A missing variable gives the default: it must not fail the import."""
    env = os.environ if environ is None else environ
    types = {field: type(default) for field, default in Settings._field_defaults.items()}
    return Settings(**{field: types[field](env[name]) for field, name in VARIABLES.items() if name in env})
