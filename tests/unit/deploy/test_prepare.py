"""What a deploy says before it changes anything: settings without effect, contradictions, findings of an extension."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rtp.config import Environment
from rtp.config.settings import Settings, Vpc
from rtp.errors import ConfigError
from rtp.ops.stack.build.synth import Assembly, Finding
from rtp.ops.stack.prepare import _contradictory, _findings, _ignored

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = Settings(vpc=Vpc(subnets=("subnet-00000001",), security_groups=("sg-00000001",)), layers=("arn",))
FINDING = Finding("AwsSolutions-S1", "Uploads", "The S3 Bucket has server access logs disabled.")


def environment(root: Path, **values: Any) -> Environment:
    return Environment(**{"name": "local", "root": root, "settings": SETTINGS, **values})


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (SETTINGS, "vpc and layers of rtp.toml: not used on the local engine, which runs functions on this machine."),
        (Settings(layers=("arn",)), "layers of rtp.toml: not used on the local engine, which runs functions on this"),
        (Settings(), None),
    ],
)
def test_a_deploy_to_the_engine_names_the_settings_that_it_does_not_use(
    tmp_path: Path, settings: Settings, text: str | None
) -> None:
    found = _ignored(environment(tmp_path, settings=settings))
    assert len(found) == (text is not None)
    assert text is None or found[0].startswith(text)


def test_a_deploy_to_aws_says_nothing_of_them(tmp_path: Path) -> None:
    assert _ignored(environment(tmp_path, name="dev")) == []


def test_findings_are_warnings_and_stop_a_deploy_where_strict(tmp_path: Path) -> None:
    assembly = Assembly(tmp_path, tmp_path, {}, cached=False, findings=(FINDING,))
    line = "Uploads: AwsSolutions-S1: The S3 Bucket has server access logs disabled."
    assert _findings(environment(tmp_path), assembly) == [line]
    with pytest.raises(ConfigError) as caught:
        _findings(environment(tmp_path, strict=True), assembly)
    assert caught.value.message == f"cdk-nag finds: {line}" and "strict = false" in caught.value.hint
    # And where there are none, strict has nothing to say
    clean = Assembly(tmp_path, tmp_path, {}, cached=False)
    assert _findings(environment(tmp_path, strict=True), clean) == []


def test_a_deploy_to_aws_names_settings_that_contradict_each_other(tmp_path: Path) -> None:
    settings = Settings(throttle_rate=5000, key_rate=100, daily_quota=10_000)
    (text, *_) = _contradictory(environment(tmp_path, name="dev", settings=settings))
    assert text.startswith("throttle_rate = 5000 takes 50 keys that each send at key_rate = 100")
    assert _contradictory(environment(tmp_path, name="dev", settings=Settings())) == []
    # The engine limits no rates
    assert _contradictory(environment(tmp_path, settings=settings)) == []
