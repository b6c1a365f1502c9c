"""The real CDK CLI behind rtp: bootstrap, and what it says when something is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from rtp.aws import Aws
from rtp.config import Overrides, environments
from rtp.errors import ConfigError, RtpError
from rtp.ops.stack.build import bootstrap, cdk, synth

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.local.engine import Engine


@pytest.fixture
def aws(engine: Engine) -> Aws:
    """A region of the engine's in which nothing is bootstrapped."""
    return Aws(region="eu-west-3", endpoint_url=engine.endpoint_url, local=True, keys=engine.keys)


def test_bootstrap_of_an_account_is_the_cdks_own(aws: Aws, engine: Engine, tmp_path: Path) -> None:
    # Given an environment that is not this machine's, as far as bootstrap is concerned
    environment = replace(
        environments.resolve(Overrides(env="dev", region="eu-west-3"), cwd=tmp_path, environ={}),
        endpoint_url="http://a.distant.engine:4566",
    )
    said: list[str] = []
    assert bootstrap.version(aws) is None
    # When it is bootstrapped
    done = bootstrap.bootstrap(aws, environment, None, on_line=said.append)
    # Then the CDK did it, aloud, and the version is there
    assert (done.region, done.changed) == ("eu-west-3", True) and done.bootstrap_version >= bootstrap.NEEDED
    assert any("bootstrapped" in line for line in said)
    # And the CDK kept its cache in the project, for this user alone and without the engine's key
    home = tmp_path / ".rtp" / "cdk" / "home"
    assert home.stat().st_mode & 0o777 == 0o700
    key = engine.keys.access_key_id.encode()
    assert not [file for file in home.rglob("*") if file.is_file() and key in file.read_bytes()]


def test_what_rtp_prepares_on_an_engine_is_what_the_cdk_would(engine: Engine, tmp_path: Path) -> None:
    # Given two regions, one prepared by the CDK CLI and one by rtp
    by_cdk = Aws(region="eu-north-1", endpoint_url=engine.endpoint_url, local=True, keys=engine.keys)
    by_rtp = Aws(region="eu-south-1", endpoint_url=engine.endpoint_url, local=True, keys=engine.keys)
    cdk.run(["bootstrap", "aws://000000000000/eu-north-1"], aws=by_cdk, home=tmp_path / "home", folder=tmp_path)
    bootstrap.ensure_on_engine(by_rtp)
    # Then their stacks have the same resources and outputs
    assert _shape(by_cdk) == _shape(by_rtp)


def _shape(aws: Aws) -> tuple[set[str], set[str]]:
    from rtp.aws import stacks

    return (
        {f"{r.logical_id} {r.resource_type}" for r in stacks.resources(aws, bootstrap.STACK)},
        set(stacks.deployed(aws, bootstrap.STACK, stacks.describe(aws, bootstrap.STACK)).outputs),
    )


@pytest.mark.long
def test_a_deploy_without_a_bootstrap_is_an_error(engine: Engine, tmp_path: Path) -> None:
    region = "ap-south-1"
    environment = environments.resolve(Overrides(region=region), cwd=tmp_path, environ={})
    built = synth.synth(environment)
    there = Aws(region=region, endpoint_url=engine.endpoint_url, local=True, keys=engine.keys)
    argv = ["deploy", environment.names.stack, "--app", str(built.path), "--method", "prepare-change-set"]
    with pytest.raises(ConfigError, match="not bootstrapped") as caught:
        cdk.run(argv, aws=there, home=tmp_path / "home", folder=tmp_path)
    assert caught.value.hint == "Run `rtp bootstrap`."


def test_a_failure_of_the_cdk_is_one_sentence(aws: Aws, tmp_path: Path) -> None:
    with pytest.raises(RtpError) as caught:
        cdk.run(["deploy", "--app", str(tmp_path / "nothing")], aws=aws, home=tmp_path / "home", folder=tmp_path)
    assert caught.value.code == "cdk" and "\n" not in caught.value.message
    assert "--app is required" in caught.value.message or "nothing" in caught.value.message
