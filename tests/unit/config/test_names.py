"""Names and tags that AWS takes, in every partition and at the longest."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rtp import contract
from rtp.config import environments, tables
from rtp.contract import Alarm, Names
from rtp.errors import ConfigError

LONGEST = Names("p" * 20, "e" * 20)
# Longest name that each service takes, from its API reference.
LIMITS = {
    "stack": 128,
    "key_alias": 256,
    "table": 255,
    "queue": 80,
    "dlq": 80,
    "topic": 256,
    "processor": 64,
    "worker": 64,
    "emptier": 64,
    "notifier": 64,
    "api": 255,
    "usage_plan": 255,
    "api_key": 255,
    "dashboard": 255,
    "sampling_rule": 32,
    "access_log_group": 512,
}


def test_every_region_is_in_the_partition_that_botocore_knows_it_in() -> None:
    import botocore

    known = json.loads((Path(botocore.__file__).parent / "data" / "partitions.json").read_text())["partitions"]
    regions = {region: found["id"] for found in known for region in found["regions"] if "global" not in region}
    assert len(regions) > 30
    assert all(re.fullmatch(tables.REGION, region) for region in regions)
    assert {region: contract.partition(region) for region in regions} == regions


def test_the_longest_names_are_within_each_services_limit() -> None:
    named = {name for name, value in vars(Names).items() if isinstance(value, property)}
    assert named == set(LIMITS)
    assert {name: len(getattr(LONGEST, name)) for name in LIMITS if len(getattr(LONGEST, name)) > LIMITS[name]} == {}
    assert all(len(LONGEST.alarm(alarm)) <= 255 for alarm in Alarm)
    assert len(LONGEST.log_group(LONGEST.processor)) <= 512


@pytest.mark.parametrize("owner", ["DataTeam", "Équipe données", "a@b.example", "team/one:two=3 + 4_5-6", "x" * 256])
def test_an_owner_that_every_service_takes_as_a_tag(tmp_path: Path, owner: str) -> None:
    (tmp_path / "rtp.toml").write_text(f'owner = "{owner}"\n')
    assert environments.resolve(cwd=tmp_path, environ={}).owner == owner


@pytest.mark.parametrize("owner", ["Data & Co", "a, b", "x" * 257, "   ", "smile 😀", "tab\\tbed"])
def test_an_owner_that_some_service_refuses_as_a_tag_is_refused(tmp_path: Path, owner: str) -> None:
    (tmp_path / "rtp.toml").write_text(f'owner = "{owner}"\n')
    with pytest.raises(ConfigError, match="owner = ") as refused:
        environments.resolve(cwd=tmp_path, environ={})
    assert "letters, digits" in refused.value.hint
