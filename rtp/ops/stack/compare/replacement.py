"""Which properties cannot be changed in place, out of the database that the CDK CLI ships for its own diff."""

from __future__ import annotations

import functools
import gzip
import json
from pathlib import Path

from rtp.errors import ConfigError
from rtp.infra import toolchain
from rtp.text import installing, suggest


def replaces(resource_type: str, prop: str) -> str:
    """Whether a change of this property makes CloudFormation replace the resource: yes, maybe or no."""
    return _database().get(resource_type, {}).get(prop, "no")


@functools.cache
def _database() -> dict[str, dict[str, str]]:
    file = Path(toolchain.cdk()[-1]).parents[1] / "db.json.gz"
    try:
        with gzip.open(file) as stream:
            entities = json.load(stream)["schema"]["resource"]["entities"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"The CDK CLI's database of resources cannot be read: {error}.",
            hint=suggest.sentence("Install rtp again: {}.", installing.again()),
            code="toolchain",
        ) from None
    return {
        e["cloudFormationType"]: {
            name: p["causesReplacement"] for name, p in e.get("properties", {}).items() if "causesReplacement" in p
        }
        for e in entities
    }
