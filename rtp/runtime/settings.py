"""Read the functions' settings from the environment variables that the stack sets, and Lambda."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from rtp.runtime import wire

if TYPE_CHECKING:
    from collections.abc import Mapping


class Settings(NamedTuple):
    """Names of the pipeline's resources, and those settings of rtp.toml that the functions read.

    A field has the type of its default; its name is that of the setting. release: of this code, out of its zip.
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
    release: str = ""


LAMBDA_VARIABLES = {"function": "AWS_LAMBDA_FUNCTION_NAME", "memory_mb": "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"}
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120 - pathlib costs at the start
VARIABLES = {
    field: LAMBDA_VARIABLES.get(field, f"RTP_{field.upper()}") for field in Settings._fields if field != "release"
}


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this function. A missing variable gives the default: it must not fail the import."""
    env = os.environ if environ is None else environ
    types = {field: type(default) for field, default in Settings._field_defaults.items()}
    values = {field: types[field](env[name]) for field, name in VARIABLES.items() if name in env}
    return Settings(**values, release=release(_ROOT))


def release(root: str) -> str:
    """Return the release of the code that was unpacked to this folder; empty where it was not packed by a deploy."""
    try:
        with open(f"{root}/{wire.RELEASE_FILE}", encoding="ascii") as file:  # noqa: PTH123 - as above
            return file.read(wire.RELEASE_LENGTH)
    except OSError:
        return ""
